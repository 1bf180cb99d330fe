// One title: watch it in every language, compare two of its sounds, read and change its lines.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useJobs } from "../../client/activity";
import { all, ask, get, Refused } from "../../client/requests";
import type { Dataset, Line, Sound, TitleRecord } from "../../client/resources";
import { languageName, State, Trouble } from "../../components/ui";
import { Player } from "../../player/player";
import { Stage } from "../../player/player-view";
import { address, here, note, useNoted } from "../../route";
import { Waves } from "./comparison";
import { useKeyboard } from "./keyboard";
import { Lines } from "./lines";
import { Strip, verdicts } from "./shots";

export function TitleView({ job, title }: { job: string; title: string }) {
  const base = `/v1/jobs/${job}`;
  const query = `title=${encodeURIComponent(title)}`;
  const live = useJobs(job).get(job);
  const busy = live !== undefined && ["running", "cancelling"].includes(live.state);
  const [record, setRecord] = useState<TitleRecord | null>(null);
  const [sounds, setSounds] = useState<Sound[]>([]);
  const [rows, setRows] = useState<Dataset | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [heard, setHeard] = useNoted("track", "orig");
  const [language, setLanguage] = useNoted("lines", "");
  const [a, setA] = useNoted("a", "control");
  const [b, setB] = useNoted("b", "");
  const [zoom, setZoom] = useNoted("zoom", "10");
  const [chosen, setChosen] = useNoted("line", "");
  const [lines, setLines] = useState(new Map<string, Line[]>());
  // The first lines are there: what takes longer may begin.
  const [ready, setReady] = useState(false);
  const [, tick] = useState(0);
  const [now, setNow] = useState(() => Number(here().query.get("t")) || 0);
  const head = useRef<HTMLElement | null>(null);

  // When the job comes to an end again, whatever was remade is asked for again.
  const [made, setMade] = useState(0);
  const before = useRef<number | undefined>(undefined);
  useEffect(() => {
    if (!live || busy) return;
    if (before.current !== undefined && before.current !== live.events) setMade((count) => count + 1);
    before.current = live.events;
  }, [live, busy]);
  useEffect(() => {
    const abort = new AbortController();
    Promise.all([
      get<TitleRecord>(`${base}/titles/${encodeURIComponent(title)}`, abort.signal),
      get<Sound[]>(`${base}/sounds?${query}`, abort.signal),
    ]).then(
      ([found, some]) => {
        setRecord(found);
        setSounds(some);
        setError(null);
      },
      (problem: Error) => problem.name !== "AbortError" && setError(problem),
    );
    return () => abort.abort();
  }, [job, title, made]);

  const source = record?.source_language?.language ?? null;
  const dubs = useMemo(
    () => (record ? record.tracks.filter((track) => track !== "orig" && track !== "control") : []),
    [record],
  );
  const spoken = dubs.includes(language) ? language : dubs.includes(heard) ? heard : (dubs[0] ?? "");
  const second = sounds.some((sound) => sound.name === b) ? b : spoken;
  const wanted = [...new Set([spoken, heard, a, second])].filter((name) => record?.tracks.includes(name));
  const version = sounds.map((sound) => sound.sha256).join();
  useEffect(() => {
    if (!record) return;
    const abort = new AbortController();
    const load = async (): Promise<void> => {
      // What is read first comes first; the server is asked for the rest one after the other.
      for (const track of wanted) {
        const label = track === source ? `${track}-revoiced` : track;
        await all<Line>(
          `${base}/utterances/${label}?${query}`,
          (some) => {
            setLines((known) => new Map(known).set(track, some));
            setReady(true);
          },
          abort.signal,
        ).catch(() => undefined);
      }
      setReady(true);
    };
    void load();
    return () => abort.abort();
  }, [wanted.join(), version]);
  useEffect(() => {
    if (!ready) return;
    const abort = new AbortController();
    get<Dataset>(`/v1/dataset?job=${job}&${query}`, abort.signal).then(setRows, () => undefined);
    return () => abort.abort();
  }, [ready, job, query, made]);

  const duration = record?.probe?.duration ?? 0;
  const player = useMemo(() => {
    if (!duration) return null;
    const piece = async (sound: string, start: number, seconds: number): Promise<ArrayBuffer> =>
      (await ask(`${base}/sounds/${sound}/piece?${query}&start=${start}&seconds=${seconds}`)).arrayBuffer();
    return new Player(piece, duration, () => tick((count) => count + 1), setError);
  }, [base, query, duration]);
  useEffect(() => {
    if (!player) return;
    player.seek(Number(here().query.get("t")) || 0);
    return () => player.close();
  }, [player]);
  const sound = sounds.find((one) => one.name === heard) ?? sounds[0];
  useEffect(() => {
    if (!player || !sound) return;
    // The page says what is heard: where a sound cannot be had, that is the one from before.
    void player.listen({ name: sound.name, sha256: sound.sha256 }).then((here) => {
      if (!here && player.sound) setHeard(player.sound);
    });
  }, [player, sound?.name, sound?.sha256]);

  // The play head moves with every frame, the rest of the page four times a second, the address now and then.
  useEffect(() => {
    if (!player) return;
    let frame = 0;
    let told = -1;
    let noted = 0;
    const move = (): void => {
      const at = player.heard();
      const window = Number(zoom);
      if (head.current)
        head.current.style.transform = `translateX(${((at % window) / window) * (head.current.parentElement?.clientWidth ?? 0)}px)`;
      if (Math.abs(at - told) > 0.24) {
        told = at;
        setNow(at);
      }
      if (performance.now() - noted > 2000 || (!player.playing && noted)) {
        noted = player.playing ? performance.now() : 0;
        note({ t: at > 0.01 ? at.toFixed(2) : undefined });
      }
      frame = requestAnimationFrame(move);
    };
    frame = requestAnimationFrame(move);
    return () => cancelAnimationFrame(frame);
  }, [player, zoom]);
  const seek = (at: number): void => {
    player?.seek(at);
    setNow(at);
    note({ t: at.toFixed(2) });
  };

  const table = lines.get(spoken) ?? [];
  const choose = (id: string): void => {
    setChosen(id);
    const line = table.find((one) => one.id === id);
    if (line && !player?.playing) seek(line.start);
  };
  const old = useRef<HTMLAudioElement | null>(null);
  const hear = {
    range: (start: number, end: number): void => {
      setHeard(spoken);
      player?.play(start, end);
    },
    old: (from: string): void => {
      player?.pause();
      old.current?.pause();
      old.current = new Audio(from);
      void old.current.play().catch(setError);
    },
  };
  useKeyboard({ player, sounds, heard, setHeard, table, chosen, choose, seek, hear });

  const judged = useMemo(() => verdicts(rows), [rows]);
  const shots = record?.shots ?? [];
  const current = shots.findIndex((shot) => shot.start <= now && now < shot.end);
  const pending = error instanceof Refused && error.problem.code === "not_ready";
  return (
    <section class="title">
      <p class="crumbs">
        <a href="#/">Jobs</a> / <a href={address(["jobs", job])}>{live?.name || job.slice(0, 12)}</a>
      </p>
      <div class="heading">
        <h1>{title}</h1>
        {live && <State state={live.state} />}
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
            <Stage
              job={job}
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
                  job={job}
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
          <Strip
            shots={shots}
            verdicts={judged}
            video={ready ? `${base}/files/${encodeURIComponent(title)}/${encodeURIComponent(title)}.mp4` : null}
            current={current}
            seek={seek}
          />
          {ready && (
            <Waves
              base={base}
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
