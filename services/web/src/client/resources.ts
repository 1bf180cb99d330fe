// What the server says and is asked, by short names: the types of the API's OpenAPI document (schema.d.ts, made by
// `make types`), narrowed where the document leaves a part open.

import type { components } from "./schema";

type Schemas = components["schemas"];

export type Cell = Schemas["Cell"];
export type Dataset = Schemas["DatasetOut"];
export type Failure = Schemas["ErrorOut"];
export type Language = Schemas["LanguageOut"];
export type MetricsPoint = Schemas["MetricsPoint"];
export type NewJob = Schemas["NewJob"];
export type NewTraining = Schemas["NewTraining"];
export type Peaks = Schemas["PeaksOut"];
export type Problem = Schemas["Problem"];
export type Profile = Schemas["ProfileOut"];
export type Recipe = Schemas["RecipeOut"];
export type Session = Schemas["SessionOut"];
export type Sound = Schemas["SoundOut"];
export type CastVoice = Schemas["CastVoice"];
export type StoredFile = Schemas["FileOut"];
export type Tasks = Schemas["TasksOut"];
export type Title = Schemas["TitleOut"];

/** A part of a list. All lists are cut in the same way: the document has a schema for each kind of item. */
export type Page<Item> = Omit<Schemas["MetricsPage"], "items"> & { items: Item[] };

/** The document leaves the summary open: what it says depends on the stages that ran. The page reads two counts of it. */
export type Job = Omit<Schemas["JobOut"], "summary"> & { summary: { accepted?: number; rejected?: number } };

/** The document leaves the newest figures open: which there are depends on the recipe. The page reads the loss. */
export type Training = Omit<Schemas["TrainingOut"], "latest"> & { latest: { loss?: number } };

/** States of a training that has not ended. */
export const OPEN_TRAININGS = ["waiting", "running", "cancelling"];

/** What the page reads of title.json, which is served as the file that is stored (docs/output.md), without a schema. */
export interface TitleRecord {
  source_language: { language: string } | null;
  tracks: string[];
  probe: { duration: number } | null;
  shots: Shot[] | null;
  notes?: { message: string }[];
}

export type Shot = Pick<Schemas["ShotOut"], "index" | "start" | "end">;

/** What the page reads of a line of utterances/*.jsonl (docs/output.md), which the document leaves open. */
export interface Line {
  id: string;
  speaker: string;
  language: string;
  text: string;
  start: number;
  end: number;
  status: string;
  reason: string | null;
  voice?: string | null;
  source_text?: string;
  source_start?: number;
  slot_start?: number;
  slot_end?: number;
  overflow_ms?: number;
  stretch?: number | null;
  round_trip_text?: string | null;
  round_trip_cer?: number | null;
  speaker_similarity?: number | null;
  loudness_difference_lu?: number | null;
  edited?: boolean;
  href: string;
}

export type Version = Omit<Schemas["Version"], "line"> & { line: Omit<Line, "href"> };
