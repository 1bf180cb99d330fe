// Submit: videos by drag and drop (tus, resumable) or by address; languages; a set of engines with its licences.

import { useContext, useEffect, useRef, useState } from "preact/hooks";
import * as tus from "tus-js-client";
import { remember } from "../client/activity";
import { get, send } from "../client/requests";
import type { Job, Language, NewJob, Profile } from "../client/resources";
import { Curl, Keys } from "../components/curl-button";
import { languageName, size } from "../components/format";
import { Bar, Trouble } from "../components/status";
import { go } from "../route";
import { GivenTextFields, type GivenTexts, NO_TEXTS, sourceTexts } from "./given-texts";

interface Sending {
  key: number;
  file: File;
  sent: number;
  upload: tus.Upload;
  id: string | null;
  error: string;
}

interface Wish {
  urls: string;
  languages: string[];
  profile: string;
  accepted: string[];
  name: string;
}

const KEPT = "counterdub.submit";
const CHUNK = 8 * 2 ** 20;
let count = 0;

function kept(): Wish {
  const plain: Wish = { urls: "", languages: [], profile: "cpu", accepted: [], name: "" };
  try {
    return { ...plain, ...(JSON.parse(sessionStorage.getItem(KEPT) ?? "{}") as Partial<Wish>) };
  } catch {
    return plain;
  }
}

export function SubmitView() {
  const keys = useContext(Keys);
  const [wish, setWish] = useState(kept);
  const [files, setFiles] = useState<Sending[]>([]);
  const [over, setOver] = useState(false);
  const [languages, setLanguages] = useState<Language[]>([]);
  const [profiles, setProfiles] = useState<Profile[]>([]);
  const [texts, setTexts] = useState(NO_TEXTS);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const picker = useRef<HTMLInputElement>(null);

  useEffect(() => {
    get<Profile[]>("/v1/profiles").then(setProfiles, setError);
    get<Language[]>("/v1/languages").then(setLanguages, setError);
  }, []);
  useEffect(() => sessionStorage.setItem(KEPT, JSON.stringify(wish)), [wish]);
  useEffect(() => {
    const leaving = (event: BeforeUnloadEvent): void => {
      if (files.some((one) => !one.id && !one.error)) event.preventDefault();
    };
    addEventListener("beforeunload", leaving);
    return () => removeEventListener("beforeunload", leaving);
  }, [files]);

  const change = (values: Partial<Wish>): void => setWish((before) => ({ ...before, ...values }));
  const update = (key: number, values: Partial<Sending>): void =>
    setFiles((before) => before.map((one) => (one.key === key ? { ...one, ...values } : one)));

  const add = (chosen: Iterable<File>): void => {
    for (const file of chosen) {
      const key = ++count;
      const upload = new tus.Upload(file, {
        endpoint: "/v1/uploads",
        chunkSize: CHUNK,
        retryDelays: [0, 1000, 3000, 5000, 10_000],
        metadata: { filename: file.name },
        removeFingerprintOnSuccess: true,
        onProgress: (sent) => update(key, { sent }),
        onSuccess: () => update(key, { id: (upload.url ?? "").split("/").pop() ?? null, sent: file.size }),
        onError: (problem) => update(key, { error: problem.message.split(", originated")[0] ?? "" }),
      });
      setFiles((before) => [...before, { key, file, sent: 0, upload, id: null, error: "" }]);
      // The same file again, after a reload too, goes on where it stopped.
      void upload.findPreviousUploads().then((earlier) => {
        if (earlier[0]) upload.resumeFromPreviousUpload(earlier[0]);
        upload.start();
      });
    }
  };
  const drop = (one: Sending): void => {
    void one.upload.abort(!one.id);
    setFiles((before) => before.filter((other) => other.key !== one.key));
  };

  const profile = profiles.find((one) => one.name === wish.profile);
  const missing = (profile?.to_accept ?? []).filter((licence) => !wish.accepted.includes(licence));
  const urls = wish.urls.split(/\s+/).filter(Boolean);
  const waiting = files.some((one) => !one.id);
  const single = files.length + urls.length === 1;
  const own = single ? sourceTexts(texts, wish.languages) : {};
  const body: NewJob = {
    sources: [...files.map((one) => ({ upload: one.id ?? "upl_…", ...own })), ...urls.map((url) => ({ url, ...own }))],
    languages: wish.languages,
    profile: wish.profile,
    ...(wish.name && { name: wish.name }),
    ...(texts.embedded && { subtitles: "embedded" as const }),
    ...(profile?.to_accept.length && {
      settings: { licences: { accepted: wish.accepted.filter((one) => profile.to_accept.includes(one)) } },
    }),
  };
  const wanting = !body.sources.length
    ? "Add a video."
    : !wish.languages.length
      ? "Choose a language."
      : missing.length
        ? "Accept the licences."
        : waiting
          ? "The upload goes on."
          : "";

  const submit = (event: Event): void => {
    event.preventDefault();
    if (wanting) return;
    setBusy(true);
    send<Job>("POST", "/v1/jobs", body).then(
      (job) => {
        sessionStorage.removeItem(KEPT);
        remember(job);
        go(["jobs", job.id]);
      },
      (problem) => {
        setError(problem);
        setBusy(false);
      },
    );
  };

  return (
    <form class="submit" onSubmit={submit}>
      <h1>Submit video</h1>
      <div class="columns">
        <section class="card">
          <h2>Videos</h2>
          {/* biome-ignore lint/a11y/noStaticElementInteractions: files are only dropped here; the button in it chooses them. */}
          <div
            class={`drop ${over ? "drop-over" : ""}`}
            onDragOver={(event) => {
              event.preventDefault();
              setOver(true);
            }}
            onDragLeave={() => setOver(false)}
            onDrop={(event) => {
              event.preventDefault();
              setOver(false);
              add(event.dataTransfer?.files ?? []);
            }}
          >
            <p>Drop files here, or</p>
            <button type="button" onClick={() => picker.current?.click()}>
              Choose files
            </button>
            <input
              ref={picker}
              class="hidden"
              type="file"
              multiple
              accept="video/*,.mkv,.mp4,.mov,.webm,.avi,.ts"
              aria-label="Video files"
              tabIndex={-1}
              onChange={(event) => {
                add(event.currentTarget.files ?? []);
                event.currentTarget.value = "";
              }}
            />
          </div>
          <ul class="files" aria-label="Files">
            {files.map((one) => (
              <li key={one.key}>
                <span class="file-name">{one.file.name}</span>
                <span class="quiet">
                  {one.id ? size(one.file.size) : `${size(one.sent)} of ${size(one.file.size)}`}
                </span>
                <button type="button" aria-label={`Remove ${one.file.name}`} onClick={() => drop(one)}>
                  Remove
                </button>
                <Bar value={one.file.size ? one.sent / one.file.size : 0} label={`Upload of ${one.file.name}`} />
                {one.error && (
                  <span class="bad" role="alert">
                    {one.error} Choose the file again: it goes on where it stopped.
                  </span>
                )}
              </li>
            ))}
          </ul>
          <label>
            Addresses, one a line
            <textarea
              rows={2}
              placeholder="https://…"
              value={wish.urls}
              onInput={(event) => change({ urls: event.currentTarget.value })}
            />
          </label>
          <label>
            Name of the job
            <input
              type="text"
              maxLength={200}
              placeholder="optional"
              value={wish.name}
              onInput={(event) => change({ name: event.currentTarget.value })}
            />
          </label>
        </section>
        <section class="card">
          <h2>Languages</h2>
          <Languages known={languages} chosen={wish.languages} choose={(chosen) => change({ languages: chosen })} />
          <GivenTextFields given={texts} languages={wish.languages} single={single} change={setTexts} />
          <h2>Engines</h2>
          <label>
            Set of engines
            <select
              value={wish.profile}
              onChange={(event) => change({ profile: event.currentTarget.value, accepted: [] })}
            >
              {(profiles.length ? profiles.map((one) => one.name) : [wish.profile]).map((name) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </select>
          </label>
          {profile && (
            <ProfileFacts profile={profile} accepted={wish.accepted} accept={(accepted) => change({ accepted })} />
          )}
        </section>
      </div>
      <Trouble error={error} />
      <div class="bottom">
        <button class="primary" type="submit" disabled={busy || Boolean(wanting)}>
          Dub
        </button>
        <span class="quiet" aria-live="polite">
          {wanting}
        </span>
        <Curl method="POST" path="/v1/jobs" body={body} label="this job" />
        {files.length > 0 && (
          <Curl
            path="/v1/jobs"
            label="uploading and submitting in one"
            command={multipart(wish, files, single ? texts : { ...NO_TEXTS, embedded: texts.embedded }, keys)}
          />
        )}
      </div>
    </form>
  );
}

/** The same without an upload before it. */
function multipart(wish: Wish, files: Sending[], texts: GivenTexts, keys: boolean): string {
  const key = keys ? `-H "Authorization: Bearer $COUNTERDUB_API_KEY" ` : "";
  const part = (field: string, name: string): string => `-F '${field}=@${name.replaceAll("'", "_")}'`;
  const parts = files.map((one) => part("video", one.file.name));
  if (texts.transcript) parts.push(part("transcript", texts.transcript.name));
  for (const code of wish.languages) {
    const text = texts.translations[code];
    if (text) parts.push(part(`translation.${code}`, text.name));
  }
  if (texts.embedded) parts.push("-F subtitles=embedded");
  return `curl ${key}${parts.join(" ")} -F languages=${wish.languages.join(",")} -F profile=${wish.profile} ${location.origin}/v1/jobs`;
}

const USUAL = ["es", "fr", "de", "it", "pt", "ja", "zh", "hi"];

function Languages({
  known,
  chosen,
  choose,
}: {
  known: Language[];
  chosen: string[];
  choose: (codes: string[]) => void;
}) {
  const [more, setMore] = useState("");
  const toggle = (code: string): void =>
    choose(chosen.includes(code) ? chosen.filter((one) => one !== code) : [...chosen, code]);
  const shown = [...new Set([...USUAL, ...chosen])];
  return (
    <fieldset class="languages">
      <legend class="hidden">Target languages</legend>
      {shown.map((code) => (
        <label key={code} class="pick">
          <input type="checkbox" checked={chosen.includes(code)} onChange={() => toggle(code)} />
          <span>{languageName(code)}</span>
        </label>
      ))}
      <div class="another">
        <label>
          Another
          <input
            list="languages"
            value={more}
            placeholder="name or code"
            onInput={(event) => {
              const text = event.currentTarget.value;
              const language = known.find((one) => one.code === text || one.name === text);
              if (language && !chosen.includes(language.code)) choose([...chosen, language.code]);
              setMore(language ? "" : text);
            }}
          />
          <datalist id="languages">
            {known.map((one) => (
              <option key={one.code} value={one.name}>
                {one.native_name}
              </option>
            ))}
          </datalist>
        </label>
      </div>
    </fieldset>
  );
}

function ProfileFacts({
  profile,
  accepted,
  accept,
}: {
  profile: Profile;
  accepted: string[];
  accept: (names: string[]) => void;
}) {
  return (
    <div class="profile">
      <p class="quiet">{profile.description}</p>
      {profile.unknown.length > 0 && <p class="warn">Not installed on this server: {profile.unknown.join(", ")}.</p>}
      {profile.to_accept.map((licence) => (
        <label key={licence} class="pick warn">
          <input
            type="checkbox"
            checked={accepted.includes(licence)}
            onChange={() =>
              accept(accepted.includes(licence) ? accepted.filter((one) => one !== licence) : [...accepted, licence])
            }
          />
          <span>
            I accept <b>{licence}</b>, which forbids commercial use of what these make:{" "}
            {profile.terms
              .filter((one) => one.licence === licence)
              .map((one) => one.engine)
              .join(", ")}
          </span>
        </label>
      ))}
      <details>
        <summary>Engines and licences</summary>
        <table class="plain">
          <thead>
            <tr>
              <th>stage</th>
              <th>engine</th>
              <th>licence</th>
            </tr>
          </thead>
          <tbody>
            {profile.terms.map((one) => (
              <tr key={one.kind + one.engine} title={one.note}>
                <td>{one.kind.replaceAll("_", " ")}</td>
                <td>{one.engine}</td>
                <td>
                  {one.licence}
                  {!one.commercial_use && <b class="bad"> non-commercial</b>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </div>
  );
}
