// The API's requests as curl commands.

const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** A request as a command to paste into a shell. */
export function curl(method: string, path: string, keys: boolean, body?: unknown): string {
  const parts = ["curl"];
  if (method !== "GET") parts.push("-X", method);
  if (keys) parts.push("-H", `"Authorization: Bearer $COUNTERDUB_API_KEY"`);
  if (body !== undefined) parts.push("-H", "'Content-Type: application/json'", "-d", quote(JSON.stringify(body)));
  parts.push(quote(location.origin + path));
  return parts.join(" ");
}
