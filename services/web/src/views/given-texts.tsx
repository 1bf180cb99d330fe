// Texts that come with a video: what it says, and translations that people already have.

import { useState } from "preact/hooks";
import { languageName } from "../components/format";

export interface GivenText {
  name: string;
  text: string;
}

/** Of one video. `translations`: language → text. */
export interface GivenTexts {
  transcript: GivenText | null;
  translations: Record<string, GivenText>;
  embedded: boolean;
}

export const NO_TEXTS: GivenTexts = { transcript: null, translations: {}, embedded: false };

const ACCEPTED = ".srt,.vtt,.ass,.ssa,.sbv,.ttml,.xml,.smi,.lrc,.json,.txt";
const MOST_BYTES = 2 ** 20;

/** What a source of a job is told of them; translations only of languages that are asked for. */
export function sourceTexts(
  given: GivenTexts,
  languages: string[],
): { transcript?: string; translations?: Record<string, string> } {
  const asked = Object.entries(given.translations).filter(([code]) => languages.includes(code));
  return {
    ...(given.transcript && { transcript: given.transcript.text }),
    ...(asked.length && { translations: Object.fromEntries(asked.map(([code, one]) => [code, one.text])) }),
  };
}

/** Fields for a transcript, for a translation into each language, and for the video's own subtitles. */
export function GivenTextFields({
  given,
  languages,
  single,
  change,
}: {
  given: GivenTexts;
  languages: string[];
  single: boolean;
  change: (given: GivenTexts) => void;
}) {
  return (
    <details class="texts">
      <summary>Transcript and translations that you have</summary>
      <label class="pick">
        <input
          type="checkbox"
          checked={given.embedded}
          onChange={(event) => change({ ...given, embedded: event.currentTarget.checked })}
        />
        <span>Use the subtitles that are in the videos</span>
      </label>
      {single ? (
        <>
          <TextField
            label="Transcript"
            value={given.transcript}
            choose={(transcript) => change({ ...given, transcript })}
          />
          {languages.map((code) => (
            <TextField
              key={code}
              label={`Translation into ${languageName(code)}`}
              value={given.translations[code] ?? null}
              choose={(text) => {
                const { [code]: _, ...others } = given.translations;
                change({ ...given, translations: text ? { ...others, [code]: text } : others });
              }}
            />
          ))}
        </>
      ) : (
        <p class="quiet">Files can be given for one video at a time.</p>
      )}
    </details>
  );
}

function TextField({
  label,
  value,
  choose,
}: {
  label: string;
  value: GivenText | null;
  choose: (text: GivenText | null) => void;
}) {
  const [error, setError] = useState("");
  const read = async (file: File | undefined): Promise<void> => {
    setError("");
    if (!file) return choose(null);
    if (file.size > MOST_BYTES) return setError("More than 1 MiB is not taken.");
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
      choose({ name: file.name, text });
    } catch {
      setError("This is no UTF-8 text: save it as UTF-8.");
    }
  };
  return (
    <div>
      <label>
        {label}
        <input type="file" accept={ACCEPTED} onChange={(event) => void read(event.currentTarget.files?.[0])} />
      </label>
      {value && <span class="quiet">{value.name}</span>}
      {error && (
        <span class="bad" role="alert">
          {error}
        </span>
      )}
    </div>
  );
}
