// One title: watch it in every language, compare two of its sounds, read and change its lines.

import { Refused } from "../../client/requests";
import { languageName } from "../../components/format";
import { State, Trouble } from "../../components/status";
import { PlayerView } from "../../player/player-view";
import { address, useNoted } from "../../route";
import { Comparison } from "./comparison";
import { useKeyboard } from "./keyboard";
import { Lines } from "./lines";
import { usePlayback } from "./playback";
import { Shots } from "./shots";
import { useTitleState } from "./state";
import { useTexts } from "./texts";
import { useVerdicts } from "./verdicts";
import { Voices } from "./voices";

export function TitleView({ job: jobId, title }: { job: string; title: string }) {
  const query = `title=${encodeURIComponent(title)}`;
  const { job, busy, record, sounds, endings, error, setError } = useTitleState(jobId, title);
  const [heard, setHeard] = useNoted("track", "orig");
  const [language, setLanguage] = useNoted("lines", "");
  const [a, setA] = useNoted("a", "control");
  const [b, setB] = useNoted("b", "");
  const [zoom, setZoom] = useNoted("zoom", "10");
  const [chosen, setChosen] = useNoted("line", "");

  const source = record?.source_language?.language ?? null;
  const dubs = (record?.tracks ?? []).filter((track) => track !== "orig" && track !== "control");
  const spoken = dubs.includes(language) ? language : dubs.includes(heard) ? heard : (dubs[0] ?? "");
  const second = sounds.some((one) => one.name === b) ? b : spoken;
  const shown = record && [...new Set([spoken, heard, a, second])].filter((name) => record.tracks.includes(name));
  const version = sounds.map((one) => one.sha256).join();
  const { lines, ready } = useTexts(jobId, query, shown, source, version);
  const verdicts = useVerdicts(jobId, query, ready, endings);

  const duration = record?.probe?.duration ?? 0;
  const sound = sounds.find((one) => one.name === heard) ?? sounds[0];
  const playback = usePlayback({ jobId, query, duration, sound, setHeard, zoom: Number(zoom), setError });
  const { player, now, head, seek } = playback;
  const table = lines.get(spoken) ?? [];
  const choose = (id: string): void => {
    setChosen(id);
    const line = table.find((one) => one.id === id);
    if (line && !player?.playing) seek(line.start);
  };
  const hear = {
    range: (start: number, end: number): void => {
      setHeard(spoken);
      player?.play(start, end);
    },
    old: playback.playAside,
  };
  useKeyboard({ player, sounds, heard, setHeard, table, chosen, choose, seek, hear });

  const shots = record?.shots ?? [];
  const current = shots.findIndex((shot) => shot.start <= now && now < shot.end);
  const folder = `/v1/jobs/${jobId}/files/${encodeURIComponent(title)}`;
  const pending = error instanceof Refused && error.problem.code === "not_ready";
  return (
    <section class="title">
      <p class="crumbs">
        <a href="#/">Jobs</a> / <a href={address(["jobs", jobId])}>{job?.name || jobId.slice(0, 12)}</a>
      </p>
      <div class="heading">
        <h1>{title}</h1>
        {job && <State state={job.state} />}
        {record && (
          <span class="quiet">
            {source ? `spoken ${languageName(source)}` : "language unknown"} · {dubs.map(languageName).join(", ")}
          </span>
        )}
      </div>
      {pending ? (
        <p class="empty">This title is still being made. It appears here as soon as it is done.</p>
      ) : (
        <Trouble error={error} />
      )}
      {record?.notes?.length ? <p class="quiet notes">{record.notes.map((one) => one.message).join(" ")}</p> : null}
      {record && player && sound && (
        <>
          <div class="title-top">
            <PlayerView
              job={jobId}
              title={title}
              player={player}
              sounds={sounds}
              heard={sound.name}
              hear={setHeard}
              now={now}
              duration={duration}
              seek={seek}
              lines={lines.get(sound.name) ?? []}
            />
            {spoken && (
              <div class="title-lines">
                {dubs.length > 1 && (
                  <div class="tabs" role="group" aria-label="Language of the lines">
                    {dubs.map((code) => (
                      <button
                        key={code}
                        type="button"
                        aria-pressed={code === spoken}
                        onClick={() => {
                          setLanguage(code);
                          setChosen("");
                        }}
                      >
                        {languageName(code)}
                      </button>
                    ))}
                  </div>
                )}
                <Lines
                  job={jobId}
                  query={query}
                  language={spoken}
                  lines={table}
                  now={now}
                  chosen={chosen}
                  choose={choose}
                  hear={hear}
                  busy={busy}
                />
              </div>
            )}
          </div>
          {spoken && ready && (
            <Voices
              job={jobId}
              query={query}
              language={spoken}
              busy={busy}
              version={`${version} ${endings}`}
              fail={setError}
            />
          )}
          <Shots
            shots={shots}
            verdicts={verdicts}
            video={ready ? `${folder}/${encodeURIComponent(title)}.mp4` : null}
            current={current}
            seek={seek}
          />
          {ready && (
            <Comparison
              base={`/v1/jobs/${jobId}`}
              query={query}
              sounds={sounds}
              a={sounds.some((one) => one.name === a) ? a : sounds[0]!.name}
              b={second || sounds[0]!.name}
              choose={(which, name) => (which === "a" ? setA(name) : setB(name))}
              start={Math.floor(now / Number(zoom)) * Number(zoom)}
              zoom={Number(zoom)}
              setZoom={(seconds) => setZoom(String(seconds))}
              lines={lines}
              seek={seek}
              head={(place) => {
                head.current = place;
              }}
            />
          )}
        </>
      )}
    </section>
  );
}
