// What can be taken away: the container, clips in the layout of LVU-M, tables, shards; each as a link and as a command.

import { useContext } from "preact/hooks";
import type { Job, Title } from "../client/resources";
import { Curl, Keys } from "../components/curl-button";

const SHOWN = 50;

export function Exports({ job, titles }: { job: Job; titles: Title[] }) {
  const keys = useContext(Keys);
  const base = `/v1/jobs/${job.id}`;
  const key = keys ? "COUNTERDUB_API_KEY=… " : "";
  const fetching = `${key}counterdub submit --job ${job.id} --url ${location.origin} --wait --out OUT`;
  const done = titles.filter((title) => title.state === "done");
  const links: [string, string, string][] = [
    [`${base}/archive/lvu-m`, "LVU-M folder (zip)", "every clip of every kept shot and track, with pairs.parquet"],
    [`${base}/archive/everything`, "Everything (zip)", "the whole output folder"],
    [`${base}/files/pairs.parquet`, "pairs.parquet", "accepted rows"],
    [`${base}/files/rejects.parquet`, "rejects.parquet", "the others, with reasons"],
    ...done.slice(0, SHOWN).map(({ name }): [string, string, string] => {
      const path = encodeURIComponent(name);
      return [`${base}/files/${path}/${path}.mkv`, `${name}.mkv`, "the picture with every track and subtitle"];
    }),
  ];
  return (
    <div class="card">
      <h2>Take away</h2>
      <ul class="exports">
        <li>
          <a class="button" href={`${base}/report`} target="_blank" rel="noopener">
            Report
          </a>
          <Curl path={`${base}/report`} label="the report" />
          <span class="quiet">one HTML file</span>
        </li>
        {links.map(([path, label, said]) => (
          <li key={path}>
            <a class="button" href={path} download>
              {label}
            </a>
            <Curl path={path} label={label} />
            <span class="quiet">{said}</span>
          </li>
        ))}
        <li>
          <span class="button-like">Shards for training</span>
          <Curl path={base} label="making shards" command={`${fetching} && counterdub shards OUT --to SHARDS`} />
          <span class="quiet">two commands to paste into a shell; a training of this server makes its own</span>
        </li>
      </ul>
      {done.length > SHOWN && <p class="quiet">The containers of further titles are offered with each title.</p>}
    </div>
  );
}
