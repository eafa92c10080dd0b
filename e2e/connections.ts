// Steady load of two kinds of clients: those that keep their connections and those that open one per
// request. None of them tries again: a request that is lost is seen.
import { Agent, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

const KEEPING = 6;
const OPENING = 3;
const PAUSE_MS = 4;
const TIMEOUT_MS = 10_000;
const BODY = JSON.stringify({ query: "{ hello }" });

export interface Answer {
  readonly status: number | undefined;
  readonly text: string;
}

const ONCE = new Agent({ keepAlive: false });

/** One request, by default on a connection of its own. Rejects when it gets no whole answer. */
export function ask(url: string, agent = ONCE, body = BODY): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { port, pathname } = new URL(url);
    const headers = { "content-type": "application/json" };
    const where = { host: "127.0.0.1", port, path: pathname, method: "POST" };
    const asked = request({ ...where, headers, agent, timeout: TIMEOUT_MS }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode, text }));
    });
    asked.on("timeout", () => asked.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    asked.on("error", reject).end(body);
  });
}

export interface Outcome {
  readonly answered: number;
  /** What became of the others, one line each. */
  readonly lost: readonly string[];
}

/** Asks without end; the returned function ends it and says how it went. */
export function startClients(url: string, body = BODY): () => Promise<Outcome> {
  const keeping = new Agent({ keepAlive: true, maxSockets: KEEPING });
  const lost: string[] = [];
  let answered = 0;
  let isOver = false;
  const client = async (agent: Agent) => {
    while (!isOver) {
      try {
        const { status, text } = await ask(url, agent, body);
        if (status === 200 && !text.includes('"errors"')) answered += 1;
        else lost.push(`${status} ${text}`);
      } catch (error) {
        lost.push(`${(error as NodeJS.ErrnoException).code} ${(error as Error).message}`);
      }
      await pause(PAUSE_MS);
    }
  };
  const clients = [
    ...Array.from({ length: KEEPING }, () => client(keeping)),
    ...Array.from({ length: OPENING }, () => client(ONCE)),
  ];
  return async () => {
    isOver = true;
    await Promise.all(clients);
    keeping.destroy();
    return { answered, lost };
  };
}
