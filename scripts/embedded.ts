// The embedded PostgreSQL of a running shop: started again, on the same port, when it died.
import { setTimeout as pause } from "node:timers/promises";
import { isCode, sentence } from "./files.ts";
import { type Postgres, type PostgresOptions, startPostgres } from "./postgres.ts";
import { Backoff, type ProgramEvents } from "./supervisor.ts";

export class EmbeddedPostgres {
  /** The server as it was started first. */
  readonly started: Promise<Postgres>;
  readonly #options: PostgresOptions;
  readonly #events: ProgramEvents;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #server: Postgres | undefined;

  constructor(options: PostgresOptions, events: ProgramEvents) {
    this.#options = options;
    this.#events = events;
    this.started = startPostgres(options);
    this.#running = this.started.then(
      (server) => this.#keep(server),
      () => undefined,
    );
  }

  get pid(): number | undefined {
    return this.#server?.pid;
  }

  get address(): string {
    return this.#server === undefined ? "" : `127.0.0.1:${this.#server.port}`;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.started.catch(() => undefined);
    await this.#server?.stop();
    await this.#running;
  }

  /** The immediate shutdown: the next start recovers. */
  kill(): void {
    this.#stopping.abort();
    try {
      if (this.#server !== undefined) process.kill(this.#server.pid, "SIGQUIT");
    } catch (error) {
      if (!isCode(error, "ESRCH")) throw error;
    }
  }

  async #keep(first: Postgres): Promise<void> {
    const { signal } = this.#stopping;
    const backoff = new Backoff();
    for (let server: Postgres | undefined = first; ; server = await this.#restart(first.port)) {
      const start = Date.now();
      this.#server = server;
      this.#events.changed();
      // Stopping may have been asked for while it was being started.
      if (signal.aborted) await server?.stop();
      await server?.ended;
      if (signal.aborted) return;
      const pauseMs = backoff.after(Date.now() - start);
      this.#events.said(`PostgreSQL ended; starting it again in ${pauseMs / 1000} s`);
      await pause(pauseMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
    }
  }

  async #restart(port: number): Promise<Postgres | undefined> {
    try {
      const server = await startPostgres({ ...this.#options, port });
      this.#events.said(`PostgreSQL is back on 127.0.0.1:${port} (process ${server.pid})`);
      return server;
    } catch (error) {
      this.#events.said(sentence(error));
      return undefined;
    }
  }
}
