// Keeps one program running: starts it, learns its addresses, and starts it again when it died.
import { type ChildProcess, fork } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";

/** sysexits.h: the configuration is wrong, so starting again would not help. */
const EX_CONFIG = 78;
const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 12_000;
const PAUSE_MIN_MS = 200;
const PAUSE_MAX_MS = 10_000;
const STABLE_AFTER_MS = 30_000;
/** Nobody replaces a program sooner: one that ends by itself so early would be started in a loop. */
const ROLL_AFTER_MS = 1_000;
/** So often may a program die before it has served once; then the start has failed. */
const FIRST_STARTS = 5;
const LOG_TAIL_LINES = 12;

export interface ProgramSpec {
  readonly name: string;
  readonly instance: number;
  /** The programs that run in it, itself alone unless it hosts others. */
  readonly hosts: readonly string[];
  /** The JavaScript file to run. */
  readonly main: string;
  readonly env: NodeJS.ProcessEnv;
  readonly log: string;
  /** A descriptor of ours that the program gets as INHERITED_FD. */
  readonly inherits?: number | undefined;
}

/** The first number after the standard streams and the channel to the launcher. */
export const INHERITED_FD = 4;

export interface ProgramEvents {
  /** The process or its addresses are others now. */
  changed(): void;
  /** Something that a person should know. */
  said(sentence: string): void;
}

/** Where a program is. */
export interface Served {
  readonly name: string;
  readonly address: string;
  /** Where /healthz and /metrics are. */
  readonly httpAddress: string;
}

interface Ready extends Omit<Served, "name"> {
  readonly type: "ready";
  /** The programs of a process that has several. */
  readonly hosted?: readonly Served[];
}

/** The pause before another start, growing while what is started keeps dying. */
export class Backoff {
  #nextMs = PAUSE_MIN_MS;

  /** The pause that is due after a run of this long. */
  after(aliveMs: number): number {
    if (aliveMs >= STABLE_AFTER_MS) this.#nextMs = PAUSE_MIN_MS;
    const due = this.#nextMs;
    this.#nextMs = Math.min(due * 2, PAUSE_MAX_MS);
    return due;
  }
}

export class Program {
  readonly spec: ProgramSpec;
  /** Settles when the program has served for the first time, or could not. */
  readonly started: Promise<void>;
  readonly #events: ProgramEvents;
  readonly #backoff = new Backoff();
  readonly #stopping = new AbortController();
  #child: ChildProcess | undefined;
  #ready: Ready | undefined;
  #servedOnce = false;
  #starts = 0;
  readonly #settle: { resolve: () => void; reject: (error: Error) => void };
  /** Ends when the program is stopped for good. */
  readonly #running: Promise<void>;

  constructor(spec: ProgramSpec, events: ProgramEvents) {
    this.spec = spec;
    this.#events = events;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.started = promise;
    // Whoever waits for it sees the failure; when nobody does, it is not an error of its own.
    promise.catch(() => undefined);
    this.#settle = { resolve, reject };
    this.#running = this.#run().catch((error: Error) => {
      this.#settle.reject(error);
      events.said(`${this.title} is not watched any more: ${error.message}`);
    });
  }

  get title(): string {
    const { name, instance } = this.spec;
    return instance === 1 ? name : `${name} (${instance})`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** The programs that it runs; their addresses are empty until it has served once. */
  get served(): readonly Served[] {
    const { address = "", httpAddress = "", hosted } = this.#ready ?? {};
    return hosted ?? this.spec.hosts.map((name) => ({ name, address, httpAddress }));
  }

  /** Asks it to end, and insists after a while. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const child = this.#child;
    if (child !== undefined) {
      // Windows has no signals that a program could act on; it ends when the channel closes.
      if (process.platform === "win32") child.disconnect();
      else child.kill("SIGTERM");
    }
    const insist = setTimeout(() => this.kill(), STOP_TIMEOUT_MS);
    await this.#running;
    clearTimeout(insist);
  }

  kill(): void {
    this.#stopping.abort();
    this.#child?.kill("SIGKILL");
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const start = Date.now();
      this.#starts += 1;
      const logged = await sizeOf(this.spec.log);
      if (signal.aborted) break;
      const how = await this.#runOnce();
      this.#events.changed();
      if (signal.aborted) break;
      if (this.#startFailed(how)) {
        this.#settle.reject(new Error(await this.#lastWords(how, logged)));
        return;
      }
      if (how.wasAsked && Date.now() - start >= ROLL_AFTER_MS) {
        this.#events.said(`${this.title} was asked to stop and did; starting it again`);
        continue;
      }
      const pauseMs = this.#backoff.after(Date.now() - start);
      this.#events.said(
        `${this.title} ${how.words}; starting it again in ${pauseMs / 1000} s ` +
          `(its log: ${this.spec.log})`,
      );
      await pause(pauseMs, undefined, { signal }).catch(() => undefined);
    }
    this.#settle.reject(new Error(`${this.title} was stopped before it served.`));
  }

  /** From start to end of one process. */
  #runOnce(): Promise<Exit> {
    let child: ChildProcess;
    try {
      child = this.#fork();
    } catch (error) {
      // Too many open files, a full disk: not for ever.
      return Promise.resolve({ canRetry: true, wasAsked: false, words: (error as Error).message });
    }
    this.#child = child;
    this.#events.changed();
    let isLate = false;
    let hasServed = false;
    const late = setTimeout(() => {
      isLate = true;
      child.kill("SIGKILL");
    }, READY_TIMEOUT_MS);
    child.on("message", (message) => {
      if ((message as Partial<Ready>).type !== "ready") return;
      clearTimeout(late);
      hasServed = true;
      this.#serves(message as Ready);
    });
    return new Promise((resolve) => {
      const ended = (exit: Exit) => {
        clearTimeout(late);
        this.#child = undefined;
        resolve(exit);
      };
      child.once("error", (error) =>
        ended({ canRetry: true, wasAsked: false, words: error.message }),
      );
      child.once("exit", (code, signal) => {
        const how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
        const words = isLate ? `did not serve within ${READY_TIMEOUT_MS / 1000} s` : how;
        const canRetry = code !== EX_CONFIG && !isLate;
        ended({ canRetry, wasAsked: hasServed && code === 0, words });
      });
    });
  }

  #fork(): ChildProcess {
    const { main, env, log, inherits } = this.spec;
    const output = openSync(log, "a", 0o600);
    try {
      return fork(main, [], {
        // Flags of the launcher's own, such as --inspect, are not for its programs.
        execArgv: [],
        env: { ...env, ...this.#ports() },
        // A process group of its own: Ctrl-C in the terminal reaches the launcher alone, which
        // then stops the programs in order.
        detached: true,
        stdio: ["ignore", output, output, "ipc", ...(inherits === undefined ? [] : [inherits])],
      });
    } finally {
      closeSync(output);
    }
  }

  // Callers know the addresses; they stay the same when the program comes back.
  #ports(): NodeJS.ProcessEnv {
    if (this.#ready === undefined) return {};
    return Object.fromEntries(
      this.served.flatMap(({ name, address, httpAddress }) => [
        [`${name.toUpperCase()}_PORT`, portOf(address)],
        [`${name.toUpperCase()}_HTTP_PORT`, portOf(httpAddress)],
      ]),
    );
  }

  #serves(ready: Ready): void {
    this.#ready = ready;
    if (this.#servedOnce) {
      this.#events.said(`${this.title} is back on ${ready.address} (process ${this.pid})`);
    }
    this.#servedOnce = true;
    this.#settle.resolve();
    this.#events.changed();
  }

  #startFailed({ canRetry }: Exit): boolean {
    return !this.#servedOnce && (!canRetry || this.#starts >= FIRST_STARTS);
  }

  async #lastWords({ words }: Exit, logged: number): Promise<string> {
    const written = (await readFile(this.spec.log)).subarray(logged).toString("utf8");
    const tail = written.trim().split("\n").slice(-LOG_TAIL_LINES).join("\n");
    return `${this.title} did not start, it ${words}:\n${tail}`;
  }
}

interface Exit {
  /** False when a first start that ended so would end so again. */
  readonly canRetry: boolean;
  /** It served and ended as one that is told to: somebody wants it started anew. */
  readonly wasAsked: boolean;
  readonly words: string;
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

function portOf(address: string): string {
  return address.slice(address.lastIndexOf(":") + 1);
}
