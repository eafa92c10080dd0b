/** When an HTTP request is over for whoever serves it. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { InProgress, type Placed } from "@piata/kit/in-progress";

/** Who wants to know of the end of a response. */
interface Watch extends Placed {
  listeners: (() => void)[];
}

/** The watch of a response, and those of a connection, kept on them. */
const WATCH = Symbol("watch");
const WATCHES = Symbol("watches");

interface Watched extends ServerResponse {
  [WATCH]?: Watch | undefined;
}

interface Connection extends Socket {
  [WATCHES]?: InProgress<Watch>;
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
  if (watched[WATCH]) {
    watched[WATCH].listeners.push(listener);
    return;
  }
  const watch: Watch = { listeners: [listener], place: -1 };
  const watches = watchesOn(socket);
  watches.add(watch);
  watched[WATCH] = watch;
  // It comes once; `once` would cost more.
  response.on("close", () => {
    watched[WATCH] = undefined;
    end(watches, watch);
  });
}

function end(watches: InProgress<Watch>, watch: Watch): void {
  if (watches.delete(watch)) for (const listener of watch.listeners) listener();
}

/** One listener for a connection, however many requests are on it. */
function watchesOn(socket: Connection): InProgress<Watch> {
  const known = socket[WATCHES];
  if (known) return known;
  const watches = new InProgress<Watch>();
  socket.once("close", () => {
    for (const watch of watches) end(watches, watch);
  });
  socket[WATCHES] = watches;
  return watches;
}
