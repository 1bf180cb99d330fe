// The list of trainings, and a form to begin one from a recipe.

import { useEffect, useState } from "preact/hooks";
import { usePolling } from "../client/polling";
import { get, send } from "../client/requests";
import { type Job, type NewTraining, OPEN_TRAININGS, type Page, type Recipe, type Training } from "../client/resources";
import { Curl } from "../components/curl-button";
import { ago, figure } from "../components/format";
import { Bar, State, Trouble } from "../components/status";
import { address, go, here } from "../route";

export function TrainingsView() {
  const [trainings, setTrainings] = useState<Training[] | null>(null);
  const [recipes, setRecipes] = useState<Recipe[]>([]);
  const [jobs, setJobs] = useState<Job[]>([]);
  const [recipe, setRecipe] = useState("tiny-en");
  const [chosen, setChosen] = useState<string[]>(() => here().query.get("job")?.split(",") ?? []);
  const [settings, setSettings] = useState("");
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    Promise.all([get<Recipe[]>("/v1/recipes"), get<Page<Job>>("/v1/jobs?state=done&limit=100")]).then(
      ([known, page]) => {
        setRecipes(known);
        setJobs(page.items);
      },
      setError,
    );
  }, []);
  usePolling(true, () =>
    get<Page<Training>>("/v1/trainings?limit=50").then((page) => setTrainings(page.items), setError),
  );
  const set = parsed(settings);
  const body: NewTraining = { recipe, jobs: chosen, ...(Object.keys(set).length && { set }) };
  const begin = (event: Event): void => {
    event.preventDefault();
    send<Training>("POST", "/v1/trainings", body).then((made) => go(["trainings", made.id]), setError);
  };
  const description = recipes.find((one) => one.name === recipe)?.description;
  return (
    <section>
      <div class="heading">
        <h1>Training</h1>
        <div class="tools">
          <Curl path="/v1/trainings" label="this list" />
        </div>
      </div>
      <Trouble error={error} />
      <form class="card begin" onSubmit={begin}>
        <h2>Begin a training</h2>
        <div class="columns">
          <div>
            <label>
              Recipe
              <select value={recipe} onChange={(event) => setRecipe(event.currentTarget.value)}>
                {recipes.map((one) => (
                  <option key={one.name} value={one.name}>
                    {one.name}
                  </option>
                ))}
              </select>
            </label>
            {description && <p class="quiet">{description}</p>}
            <label>
              Settings over the recipe’s, one a line
              <textarea
                rows={3}
                placeholder={"optimiser.steps = 200\ndata.batch_size = 8"}
                value={settings}
                onInput={(event) => setSettings(event.currentTarget.value)}
              />
            </label>
          </div>
          <fieldset>
            <legend>Pairs of</legend>
            {jobs.length === 0 && <p class="quiet">No job is done yet.</p>}
            {jobs.map((job) => (
              <label key={job.id} class="pick">
                <input
                  type="checkbox"
                  checked={chosen.includes(job.id)}
                  onChange={() =>
                    setChosen((before) =>
                      before.includes(job.id) ? before.filter((id) => id !== job.id) : [...before, job.id],
                    )
                  }
                />
                <span>
                  {job.name || job.id.slice(0, 12)} <span class="quiet">{job.summary.accepted ?? 0} accepted rows</span>
                </span>
              </label>
            ))}
          </fieldset>
        </div>
        <div class="bottom">
          <button class="primary" type="submit" disabled={!chosen.length}>
            Train
          </button>
          <Curl method="POST" path="/v1/trainings" body={body} label="this training" />
        </div>
      </form>
      {trainings?.length === 0 && <p class="empty">No trainings yet.</p>}
      <ul class="jobs" aria-label="Trainings">
        {trainings?.map((one) => (
          <li key={one.id}>
            <a class="job-row" href={address(["trainings", one.id])}>
              <span class="job-name">{one.name || one.recipe}</span>
              <span class="chips">
                <span class="chip">{one.recipe}</span>
              </span>
              <span class="job-count quiet">{OPEN_TRAININGS.includes(one.state) ? one.phase : ""}</span>
              <span class="job-pairs quiet">
                step {one.step} · loss {figure(one.latest.loss, 3)}
              </span>
              <Bar value={one.state === "done" ? 1 : one.progress} label={`Progress of ${one.id}`} />
              <State state={one.state} />
              <span class="job-when quiet">{ago(one.created)}</span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Lines of `key = value` as settings; what is no number, truth or JSON is a text. */
function parsed(text: string): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const line of text.split("\n")) {
    const [, key, value] = /^\s*([\w.]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (!key || !value) continue;
    try {
      settings[key] = JSON.parse(value);
    } catch {
      settings[key] = value;
    }
  }
  return settings;
}
