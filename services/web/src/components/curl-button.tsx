// The request behind an action or a list, as a command to copy.

import { createContext } from "preact";
import { useContext, useState } from "preact/hooks";
import { curl } from "../client/curl";

/** Whether the server asks for an API key: commands say where it goes. */
export const Keys = createContext(false);

/** A button that copies the request it stands for as a curl command. */
export function Curl(props: { method?: string; path: string; body?: unknown; command?: string; label?: string }) {
  const keys = useContext(Keys);
  const [copied, setCopied] = useState(false);
  const text = props.command ?? curl(props.method ?? "GET", props.path, keys, props.body);
  const word = copied ? "copied" : props.command ? "shell" : "curl";
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      setTimeout(() => setCopied(false), 1500);
    } catch {
      prompt("Copy this command:", text);
    }
  };
  return (
    <button
      type="button"
      class="curl"
      title={text}
      aria-label={`${word} command for ${props.label ?? props.path}`}
      onClick={() => void copy()}
    >
      {word}
    </button>
  );
}
