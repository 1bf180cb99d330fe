// What can be taken away: the container, clips in the layout of LVU-M, tables, shards; each as a link and as a command.

import { useContext } from "preact/hooks";
import type { Job, StoredFile, Title } from "./api";
import { Curl, Keys, size } from "./ui";

export function Exports({ job, titles, files }: { job: Job; titles: Title[]; files: StoredFile[] }) {
  const keys = useContext(Keys);
  const base = `/v1/jobs/${job.id}`;
  const videos = files.filter((file) => /^[^/]+\/[^/]+\.(mkv|mp4)$/.test(file.path));
  const tables = files.filter((file) => !file.path.includes("/"));
  const key = keys ? "COUNTERDUB_API_KEY=… " : "";
  const fetching = `${key}counterdub submit --job ${job.id} --url ${location.origin} --wait --out OUT`;
  return (
    <div class="card">
      <h2>Take away</h2>
      <ul class="exports">
        <li>
          <a class="button" href={`${base}/archive/lvu-m`} download>LVU-M folder (zip)</a>
          <Curl path={`${base}/archive/lvu-m`} label="the LVU-M folder" />
          <span class="quiet">every clip of every kept shot and track, with pairs.parquet</span>
        </li>
        <li>
          <a class="button" href={`${base}/archive/everything`} download>Everything (zip)</a>
          <Curl path={`${base}/archive/everything`} label="everything" />
          <span class="quiet">the whole output folder</span>
        </li>
        <li>
          <span class="button-like">Shards for training</span>
          <Curl path={base} label="making shards" command={`${fetching} && counterdub shards OUT --out SHARDS`} />
          <span class="quiet">made from the output folder by one command</span>
        </li>
        <li>
          <a class="button" href={`${base}/report`} target="_blank" rel="noopener">Report</a>
          <Curl path={`${base}/report`} label="the report" />
        </li>
        {tables.filter((file) => file.path.endsWith(".parquet")).map((file) => (
          <li key={file.path}>
            <a class="button" href={file.href} download>{file.path}</a>
            <Curl path={file.href} label={file.path} />
            <span class="quiet">{size(file.bytes)}</span>
          </li>
        ))}
        {videos.map((file) => (
          <li key={file.path}>
            <a class="button" href={file.href} download>{file.path.split("/")[1]}</a>
            <Curl path={file.href} label={file.path} />
            <span class="quiet">{size(file.bytes)} · every track and subtitle</span>
          </li>
        ))}
      </ul>
      {titles.length > 1 && <p class="quiet">Containers of further titles are listed with their title.</p>}
    </div>
  );
}
