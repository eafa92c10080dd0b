/** HTTP as it is on the wire: what `fetch` would not send, and would not show. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";

/** A request, as it is. */
export interface Sent {
  path?: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

/** Its answer, and what its first error says. */
export interface Got {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  reason: string | undefined;
  code: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it has asked for.
  json: any;
}

/** Sends a request with whatever header fields, which fetch would not. */
export async function exchange(
  address: string,
  { path = "/graphql", body, ...sent }: Sent,
): Promise<Got> {
  const [host, port] = address.split(":");
  const asked = request({ host, port, path, agent: false, ...sent }).end(body);
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  const text = Buffer.concat(await response.toArray()).toString();
  const { statusCode: status = 0, headers } = response;
  const isJson = headers["content-type"]?.startsWith("application/json") && text !== "";
  const json = isJson ? JSON.parse(text) : undefined;
  const { reason, code, traceId } = json?.errors?.[0]?.extensions ?? {};
  if (traceId) assert.equal(headers["x-trace-id"], traceId);
  return { status, headers, text, json, reason, code };
}

/** A document by POST, as programs send it. */
export const post = (
  query: string,
  variables: object = {},
  headers: Record<string, string> = {},
): Sent => ({
  method: "POST",
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify({ query, variables }),
});

/** Everything that a server says to a text, until it closes the connection. */
export async function talk(address: string, text: string): Promise<string> {
  const [host, port] = address.split(":");
  const socket = connect(Number(port), host).setEncoding("latin1");
  socket.write(text);
  return (await socket.toArray()).join("");
}

/** Asserts that a request was refused because of the page that is behind it. */
export function refusedAsForeign(got: Got, what: string): void {
  const { status, code, reason, headers } = got;
  const expected = { status: 403, code: "PERMISSION_DENIED", reason: "ORIGIN_NOT_ALLOWED" };
  assert.deepEqual({ status, code, reason }, expected, what);
  assert.equal(headers["access-control-allow-origin"], undefined, what);
  assert.equal(headers["access-control-allow-credentials"], undefined, what);
}
