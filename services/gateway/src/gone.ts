/** When an HTTP request is over for whoever serves it. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Of a connection: the responses that are not over. */
const open = new WeakMap<Socket, Set<() => void>>();

/** Who wants to know, kept on the response: most requests have two. */
const LISTENERS = Symbol("listeners");

interface Watched extends ServerResponse {
  [LISTENERS]?: (() => void)[] | undefined;
}

/**
 * Calls the listener once, when the response has ended or the connection is gone. Not the response's
 * `close` alone: one that waits for its turn behind others of its connection never has that when
 * the connection ends.
 */
export function onceGone(
  { socket }: IncomingMessage,
  response: ServerResponse,
  listener: () => void,
): void {
  const watched = response as Watched;
  const known = watched[LISTENERS];
  if (known) {
    known.push(listener);
    return;
  }
  const listeners = [listener];
  watched[LISTENERS] = listeners;
  const others = openOn(socket);
  const gone = () => {
    if (!others.delete(gone)) return;
    watched[LISTENERS] = undefined;
    for (const one of listeners) one();
  };
  others.add(gone);
  // It comes once; `once` would cost more.
  response.on("close", gone);
}

/** One listener for a connection, however many requests are on it. */
function openOn(socket: Socket): Set<() => void> {
  const known = open.get(socket);
  if (known) return known;
  const ends = new Set<() => void>();
  socket.once("close", () => {
    for (const gone of ends) gone();
  });
  open.set(socket, ends);
  return ends;
}
