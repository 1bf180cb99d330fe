// The API key is given once; the server keeps it in a cookie that no script can read.

import { useState } from "preact/hooks";
import { send } from "../client/requests";
import { Trouble } from "../components/status";

export function ApiKeyForm({ entered }: { entered: () => void }) {
  const [key, setKey] = useState("");
  const [error, setError] = useState<unknown>(null);
  const enter = (event: Event): void => {
    event.preventDefault();
    send("POST", "/v1/session", { key: key.trim() }).then(entered, setError);
  };
  return (
    <form class="card gate" onSubmit={enter}>
      <h1>API key</h1>
      <p>
        This server asks for a key. Whoever runs it makes one with <code>counterdub keys create NAME</code>.
      </p>
      <label>
        Key
        <input
          type="password"
          autocomplete="current-password"
          required
          value={key}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
      </label>
      <button class="primary" type="submit">
        Enter
      </button>
      <Trouble error={error} />
    </form>
  );
}

export function ForgetKeyButton({ left }: { left: () => void }) {
  return (
    <button type="button" class="leave" onClick={() => void send("DELETE", "/v1/session").then(left, left)}>
      Forget key
    </button>
  );
}
