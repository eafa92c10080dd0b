/** When an HTTP request is over for whoever serves it. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

const waiting = new WeakMap<Socket, Set<() => void>>();

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
  const others = waitingOn(socket);
  const gone = () => {
    if (others.delete(gone)) listener();
  };
  others.add(gone);
  response.once("close", gone);
}

/** Whoever waits for the end of a connection: one listener, however many requests are on it. */
function waitingOn(socket: Socket): Set<() => void> {
  const known = waiting.get(socket);
  if (known) return known;
  const listeners = new Set<() => void>();
  socket.once("close", () => {
    for (const gone of listeners) gone();
  });
  waiting.set(socket, listeners);
  return listeners;
}
