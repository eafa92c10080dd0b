// One keep-alive connection that does units of work one after the other, at as little CPU as Node can.
import { connect, type Socket } from "node:net";
import type { Tally } from "./tally.ts";

/** A request, made once and sent often. */
export interface Ask {
  readonly bytes: Buffer;
  /** What the body of a right answer begins with. */
  readonly begins: Buffer;
}

/** What follows an answer: another request, perhaps after a pause. */
export interface Next {
  readonly ask: Ask;
  readonly pauseMs: number;
}

/** A kind of work: units of one or more requests. */
export interface Flow {
  /** Before anything is measured. */
  readonly preparation: readonly Ask[];
  /** The first request of the next unit. */
  first(): Ask;
  /** What follows a right answer; undefined when the unit is done. Throws when it has failed. */
  next?(body: Buffer): Next | undefined;
}

const HEAD_END = Buffer.from("\r\n\r\n");
const LENGTH = Buffer.from("content-length: ");
const ERRORS = Buffer.from('"errors"');
/** "200" begins at this byte of "HTTP/1.1 200 OK". */
const STATUS_AT = 9;
const ZERO = 0x30;
const NINE = 0x39;
/** A shop that refuses is not asked again in a spin. */
const AFTER_ERROR_MS = 10;
const ERROR_TEXT_LENGTH = 300;

// All connections read into it: what is read is looked at before anything else is read.
const arrived = Buffer.allocUnsafeSlow(1 << 18);

/** Where the digits' name begins. Throws when the answer does not say how long it is. */
function lengthAt(answer: Buffer, headEnd: number): number {
  const at = answer.indexOf(LENGTH);
  if (at !== -1 && at < headEnd) return at;
  // Programs write it in small letters, Node by itself in others.
  const found = answer.toString("latin1", 0, headEnd).search(/content-length: \d/i);
  if (found === -1) throw new Error("an answer that does not say how long it is");
  return found;
}

/** Where an answer's body is, or undefined while the answer is not there. */
function bodyOf(answer: Buffer): { start: number; end: number } | undefined {
  const headEnd = answer.indexOf(HEAD_END);
  if (headEnd === -1) return undefined;
  const at = lengthAt(answer, headEnd);
  let length = 0;
  for (let place = at + LENGTH.length; ; place += 1) {
    const byte = answer[place] as number;
    if (byte < ZERO || byte > NINE) break;
    length = length * 10 + byte - ZERO;
  }
  const start = headEnd + HEAD_END.length;
  return answer.length < start + length ? undefined : { start, end: start + length };
}

const isOk = (answer: Buffer): boolean =>
  answer[STATUS_AT] === 0x32 && answer[STATUS_AT + 1] === ZERO && answer[STATUS_AT + 2] === ZERO;

export class Lane {
  readonly #flow: Flow;
  readonly #tally: Tally;
  readonly #url: URL;
  #socket: Socket | undefined;
  #rest: Buffer | undefined;
  #ask: Ask | undefined;
  #startMs = 0;
  #requests = 0;
  #isWanted = false;
  #prepared = 0;
  #ready: { resolve(): void; reject(error: Error): void } | undefined;
  #stopped: (() => void) | undefined;

  constructor(url: URL, flow: Flow, tally: Tally) {
    this.#url = url;
    this.#flow = flow;
    this.#tally = tally;
  }

  /** Connects, and asks what has to be asked before. Throws when that gets a wrong answer. */
  prepare(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#ready = { resolve, reject };
      this.#connect(() => this.#prepareNext());
    });
  }

  start(): void {
    this.#isWanted = true;
    this.#begin();
  }

  /** Ends what is under way, and closes. */
  async stop(): Promise<void> {
    this.#isWanted = false;
    if (this.#ask !== undefined) await new Promise<void>((resolve) => (this.#stopped = resolve));
    this.#socket?.destroy();
  }

  #connect(onConnect: () => void): void {
    const { hostname: host, port } = this.#url;
    const callback = (count: number) => {
      this.#receive(arrived.subarray(0, count));
      return true;
    };
    const options = { host, port: Number(port), noDelay: true };
    const socket = connect({ ...options, onread: { buffer: arrived, callback } }, onConnect);
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (this.#socket === socket) this.#closed();
    });
    this.#socket = socket;
    this.#rest = undefined;
  }

  #closed(): void {
    this.#socket = undefined;
    if (this.#ready !== undefined || this.#ask !== undefined) {
      this.#fail("the connection was closed");
    }
  }

  #prepareNext(): void {
    const ask = this.#flow.preparation[this.#prepared];
    this.#prepared += 1;
    if (ask !== undefined) {
      this.#send(ask);
      return;
    }
    this.#ready?.resolve();
    this.#ready = undefined;
  }

  #begin(): void {
    if (!this.#isWanted) return;
    this.#requests = 0;
    this.#startMs = performance.now();
    this.#send(this.#flow.first());
  }

  #send(ask: Ask): void {
    this.#ask = ask;
    this.#requests += 1;
    if (this.#socket !== undefined) this.#socket.write(ask.bytes);
    else this.#connect(() => this.#socket?.write(ask.bytes));
  }

  #receive(chunk: Buffer): void {
    const answer = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    const place = this.#bodyOf(answer);
    if (place === "broken") return;
    if (place === undefined) {
      // The bytes of the chunk are overwritten by the next one.
      this.#rest = this.#rest === undefined ? Buffer.from(answer) : answer;
      return;
    }
    this.#rest = undefined;
    this.#answered(answer, answer.subarray(place.start, place.end));
  }

  #bodyOf(answer: Buffer): ReturnType<typeof bodyOf> | "broken" {
    try {
      return bodyOf(answer);
    } catch (error) {
      // Nobody knows where the next answer begins.
      const socket = this.#socket;
      this.#socket = undefined;
      socket?.destroy();
      this.#fail((error as Error).message);
      return "broken";
    }
  }

  #answered(answer: Buffer, body: Buffer): void {
    const { begins } = this.#ask as Ask;
    const isRight =
      isOk(answer) &&
      body.compare(begins, 0, begins.length, 0, Math.min(begins.length, body.length)) === 0 &&
      body.indexOf(ERRORS) === -1;
    if (!isRight) {
      const status = answer.toString("latin1", STATUS_AT, STATUS_AT + 3);
      this.#fail(`HTTP ${status} ${body.toString("utf8", 0, ERROR_TEXT_LENGTH)}`);
      return;
    }
    if (this.#ready !== undefined) {
      this.#ask = undefined;
      this.#prepareNext();
      return;
    }
    try {
      const next = this.#flow.next?.(body);
      if (next === undefined) this.#done();
      else if (next.pauseMs === 0) this.#send(next.ask);
      else setTimeout(() => this.#send(next.ask), next.pauseMs);
    } catch (error) {
      this.#fail((error as Error).message);
    }
  }

  #done(): void {
    this.#tally.add(performance.now() - this.#startMs, this.#requests);
    this.#over();
    this.#begin();
  }

  #fail(text: string): void {
    if (this.#ready !== undefined) {
      this.#ready.reject(new Error(text));
      return;
    }
    this.#tally.fail(text);
    this.#over();
    setTimeout(() => this.#begin(), AFTER_ERROR_MS);
  }

  #over(): void {
    this.#ask = undefined;
    this.#stopped?.();
  }
}
