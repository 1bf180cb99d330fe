// The page: who is here, where they are, and the one stream of what happens to jobs.

import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { get, whenLocked } from "./client/requests";
import type { Session } from "./client/resources";
import { address, usePlace } from "./route";
import { ApiKeyForm, ForgetKeyButton } from "./views/api-key";
import { DatasetView } from "./views/dataset";
import { JobView } from "./views/job";
import { JobsView } from "./views/jobs";
import "./style.css";
import { Keys } from "./components/curl-button";
import { Trouble } from "./components/status";
import { SubmitView } from "./views/submit";
import { TitleView } from "./views/title/title";
import { TrainingView } from "./views/training";
import { TrainingsView } from "./views/trainings";

const PLACES: [string, string[]][] = [
  ["Jobs", []],
  ["Submit", ["submit"]],
  ["Dataset", ["dataset"]],
  ["Training", ["trainings"]],
];

function View() {
  const { parts } = usePlace();
  const [where, id, , title] = parts;
  if (where === "jobs" && id && title) return <TitleView key={`${id}/${title}`} job={id} title={title} />;
  if (where === "jobs" && id) return <JobView key={id} id={id} />;
  if (where === "submit") return <SubmitView />;
  if (where === "dataset") return <DatasetView />;
  if (where === "trainings" && id) return <TrainingView key={id} id={id} />;
  if (where === "trainings") return <TrainingsView />;
  return <JobsView />;
}

function Page() {
  const place = usePlace();
  const [session, setSession] = useState<Session | null>(null);
  const [locked, setLocked] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const look = (): void => {
    get<Session>("/v1/session").then(
      (answer) => {
        setSession(answer);
        setLocked(false);
        setError(null);
      },
      (problem: { problem?: { status: number } }) => {
        if (problem.problem?.status === 401) setLocked(true);
        else setError(problem);
      },
    );
  };
  useEffect(() => {
    whenLocked(() => setLocked(true));
    look();
  }, []);
  const section = place.parts[0] ?? "";
  const where = place.parts.join("/");
  const arrived = useRef(where);
  useEffect(() => {
    const name = PLACES.find(([, parts]) => (parts[0] ?? "jobs") === (section || "jobs"))?.[0] ?? "Jobs";
    document.title = [place.parts[3], name, "Counterdub"].filter(Boolean).join(" · ");
    if (arrived.current === where) return;
    // Another view: who reads by ear begins at its top, as everybody else does.
    arrived.current = where;
    scrollTo(0, 0);
    document.getElementById("content")?.focus({ preventScroll: true });
  }, [where]);
  return (
    <Keys.Provider value={session?.keys_required ?? false}>
      {/* biome-ignore lint/a11y/useValidAnchor: a link within the page, followed by hand: what is behind the # is the view. */}
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById("content")?.focus();
        }}
      >
        To the content
      </a>
      <header class="top">
        <a class="brand" href="#/">
          Counterdub
        </a>
        <nav aria-label="Sections">
          {PLACES.map(([name, parts]) => (
            <a
              key={name}
              href={address(parts)}
              aria-current={(parts[0] ?? "") === (section === "jobs" ? "" : section) ? "page" : undefined}
            >
              {name}
            </a>
          ))}
        </nav>
        {session?.keys_required && !locked && (
          <ForgetKeyButton
            left={() => {
              setSession(null);
              setLocked(true);
            }}
          />
        )}
      </header>
      <main id="content" tabIndex={-1}>
        <Trouble error={error}>
          <button type="button" onClick={look}>
            Try again
          </button>
        </Trouble>
        {locked ? <ApiKeyForm entered={look} /> : <View />}
      </main>
    </Keys.Provider>
  );
}

render(<Page />, document.getElementById("app")!);
