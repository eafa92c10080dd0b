/**
 * Refusals of requests that nobody has read. They come by the thousand, so those of one second have
 * one trace id and one line in the log, and their text is made once.
 */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Failure } from "@piata/kit/errors";
import type { Log } from "@piata/kit/log";
import type { Metrics } from "@piata/kit/metrics";
import { newTraceId } from "@piata/kit/trace-id";
import { arrivalOf, type HeaderFields } from "./arrival.js";
import { errorAnswer } from "./errors.js";

/** How long refusals share what they have in common. */
const SPELL_MS = 1_000;

export interface RefusalsOptions {
  status: number;
  failure(retryAfterSeconds: number): Failure;
  /** The line in the log, and what stands in it. */
  line: string;
  details?: Record<string, unknown>;
  log: Log;
  metrics: Metrics;
}

interface Spell {
  traceId: string;
  refused: number;
  /** By how long to wait. */
  bodies: Map<number, Buffer>;
  /** Of the first that was refused: what an operator needs to know. */
  example: object;
}

/** Refusals for one reason. */
export class Refusals {
  readonly #options: RefusalsOptions;
  #spell: Spell | undefined;

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  /** Answers with the refusal; `retryAfterSeconds` is 0 when there is nothing to wait for. */
  refuse(
    request: IncomingMessage,
    response: ServerResponse,
    { retryAfterSeconds = 0, example = {} }: { retryAfterSeconds?: number; example?: object } = {},
  ): void {
    const { headers, body } = this.#answer(retryAfterSeconds, example);
    response.sendDate = false;
    response.writeHead(this.#options.status, { ...arrivalOf(request)?.headers, ...headers });
    response.end(request.method === "HEAD" ? undefined : body);
  }

  /** Answers on a connection whose request was not even understood, and closes it. */
  refuseUnparsed(socket: Socket, moreHeaders: HeaderFields): void {
    const { status } = this.#options;
    const { headers, body } = this.#answer(0, {});
    const fields = Object.entries({ ...moreHeaders, ...headers, connection: "close" });
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines}\r\n${body}`);
    socket.destroySoon();
  }

  #answer(retryAfterSeconds: number, example: object): { headers: HeaderFields; body: Buffer } {
    this.#spell ??= this.#beginSpell(example);
    const { traceId, bodies } = this.#spell;
    this.#spell.refused += 1;
    let body = bodies.get(retryAfterSeconds);
    if (!body) {
      const errors = [errorAnswer(this.#options.failure(retryAfterSeconds), traceId)];
      body = Buffer.from(JSON.stringify({ errors }));
      bodies.set(retryAfterSeconds, body);
    }
    const headers = {
      "content-type": "application/json; charset=utf-8",
      "content-length": String(body.length),
      "cache-control": "no-store",
      "x-trace-id": traceId,
      ...(retryAfterSeconds > 0 && { "retry-after": String(retryAfterSeconds) }),
    };
    return { headers, body };
  }

  #beginSpell(example: object): Spell {
    const spell: Spell = { traceId: newTraceId(), refused: 0, bodies: new Map(), example };
    setTimeout(() => {
      this.#spell = undefined;
      const { log, metrics, line, details, failure } = this.#options;
      const { refused, traceId } = spell;
      const { code, reason } = failure(0);
      metrics.answerUntimed("graphql", code, refused);
      log.warn({ refused, reason, ...details, ...spell.example, traceId }, line);
    }, SPELL_MS).unref();
    return spell;
  }
}
