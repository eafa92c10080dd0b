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
  let listeners = waiting.get(socket);
  if (!listeners) {
    const all = new Set<() => void>();
    // One listener per connection, however many requests are on it.
    socket.once("close", () => {
      for (const gone of all) gone();
    });
    waiting.set(socket, all);
    listeners = all;
  }
  const these = listeners;
  const gone = () => {
    if (these.delete(gone)) listener();
  };
  these.add(gone);
  response.once("close", gone);
}
