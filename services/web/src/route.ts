// Where one is, kept behind the # of the address: reloading, bookmarks and the back button lose nothing.

import { useCallback, useEffect, useState } from "preact/hooks";

export interface Place {
  parts: string[];
  query: URLSearchParams;
}

export function here(): Place {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { parts: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

export function address(parts: string[], query?: Record<string, string | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value) search.set(name, value);
  const text = search.toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

export function go(parts: string[], query?: Record<string, string | undefined>): void {
  location.hash = address(parts, query);
}

export function usePlace(): Place {
  const [place, setPlace] = useState(here);
  useEffect(() => {
    const changed = (): void => setPlace(here());
    addEventListener("hashchange", changed);
    return () => {
      removeEventListener("hashchange", changed);
    };
  }, []);
  return place;
}

/** Note something in the address without a new entry in the history. */
export function note(values: Record<string, string | undefined>): void {
  const place = here();
  for (const [name, value] of Object.entries(values)) {
    if (value) place.query.set(name, value);
    else place.query.delete(name);
  }
  const next = address(place.parts, Object.fromEntries(place.query));
  if (next !== location.hash) history.replaceState(history.state, "", next);
}

/** A value that lives in the address. */
export function useNoted(name: string, otherwise: string): [string, (value: string) => void] {
  const [value, setValue] = useState(() => here().query.get(name) ?? otherwise);
  useEffect(() => {
    const changed = (): void => setValue(here().query.get(name) ?? otherwise);
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, [name, otherwise]);
  const set = useCallback(
    (next: string) => {
      setValue(next);
      note({ [name]: next === otherwise ? undefined : next });
    },
    [name, otherwise],
  );
  return [value, set];
}
