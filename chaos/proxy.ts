// A TCP proxy whose wire fails on demand. It knows nothing of what goes through it.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** Where the service of a lane is now; undefined when it is not there. */
export type Dial = (lane: number) => Promise<{ host: string; port: number } | undefined>;

interface Faults {
  /** What holds bytes now, in ms each; the longest counts. */
  readonly holds: Set<{ ms: number }>;
  /** While any, there are no connections. */
  cuts: number;
  /** While any, requests go through and answers do not. */
  drops: number;
}

/** One port per lane, so that callers can go round robin over the instances behind it. */
export class FaultyProxy {
  readonly #servers: Server[];
  readonly #dial: Dial;
  readonly #links = new Set<Link>();
  readonly #faults: Faults = { holds: new Set(), cuts: 0, drops: 0 };

  private constructor(lanes: number, dial: Dial) {
    this.#dial = dial;
    this.#servers = Array.from({ length: lanes }, (_, lane) =>
      createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
        void this.#accept(near, lane);
      }),
    );
  }

  static async listen(lanes: number, dial: Dial): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(lanes, dial);
    for (const server of proxy.#servers) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
    }
    return proxy;
  }

  /** host:port of each lane. */
  get addresses(): string[] {
    return this.#servers.map((server) => `127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  /** Holds every byte for `ms`, for a while. */
  async delay(ms: number, forMs: number): Promise<void> {
    const hold = { ms };
    this.#faults.holds.add(hold);
    await pause(forMs);
    this.#faults.holds.delete(hold);
  }

  /** Ends all connections, and refuses new ones for a while. */
  async cut(forMs: number): Promise<void> {
    this.#faults.cuts += 1;
    for (const link of this.#links) link.cut();
    await pause(forMs);
    this.#faults.cuts -= 1;
  }

  /** The callee gets the requests and does the work; its answers are lost, then the connections. */
  async dropAnswers(forMs: number): Promise<void> {
    this.#faults.drops += 1;
    await pause(forMs);
    this.#faults.drops -= 1;
    // What is left of a stream with a hole in it is of no use.
    for (const link of this.#links) if (link.hasHole) link.cut();
  }

  async close(): Promise<void> {
    for (const link of this.#links) link.cut();
    for (const server of this.#servers) {
      server.close();
      await once(server, "close");
    }
  }

  async #accept(near: Socket, lane: number): Promise<void> {
    near.on("error", () => near.destroy());
    const address = this.#faults.cuts > 0 ? undefined : await this.#dial(lane);
    if (address === undefined || this.#faults.cuts > 0) {
      near.resetAndDestroy();
      return;
    }
    const far = connect({ ...address, allowHalfOpen: true, noDelay: true });
    const link = new Link(near, far, this.#faults);
    this.#links.add(link);
    near.once("close", () => this.#links.delete(link));
  }
}

/** One connection through the proxy. */
class Link {
  hasHole = false;
  readonly #near: Socket;
  readonly #far: Socket;

  constructor(near: Socket, far: Socket, faults: Faults) {
    this.#near = near;
    this.#far = far;
    const holdMs = () => Math.max(0, ...[...faults.holds].map(({ ms }) => ms));
    forward(near, far, { holdMs, isLost: () => false });
    forward(far, near, {
      holdMs,
      isLost: () => {
        if (faults.drops > 0) this.hasHole = true;
        return this.hasHole;
      },
    });
    for (const socket of [near, far]) {
      socket.on("error", () => this.cut());
      // A socket that was closed in good order has passed its end on.
      socket.on("close", (hadError) => {
        if (hadError) this.cut();
      });
    }
  }

  cut(): void {
    for (const socket of [this.#near, this.#far]) if (!socket.destroyed) socket.resetAndDestroy();
  }
}

/** Passes on what comes, in its order, when its time has come. */
function forward(
  from: Socket,
  to: Socket,
  { holdMs, isLost }: { holdMs: () => number; isLost: () => boolean },
): void {
  const held: { chunk: Buffer | undefined; dueMs: number }[] = [];
  let timer: NodeJS.Timeout | undefined;
  const pump = () => {
    timer = undefined;
    for (let first = held[0]; first !== undefined; first = held[0]) {
      const leftMs = first.dueMs - performance.now();
      if (leftMs > 0) {
        timer = setTimeout(pump, leftMs);
        return;
      }
      held.shift();
      if (first.chunk === undefined) to.end();
      else if (!to.write(first.chunk)) {
        from.pause();
        to.once("drain", () => from.resume());
      }
    }
  };
  const pass = (chunk: Buffer | undefined) => {
    const before = held.at(-1)?.dueMs ?? 0;
    held.push({ chunk, dueMs: Math.max(before, performance.now() + holdMs()) });
    if (timer === undefined) pump();
  };
  from.on("data", (chunk: Buffer) => {
    if (!isLost()) pass(chunk);
  });
  from.on("end", () => {
    if (!isLost()) pass(undefined);
  });
  to.on("close", () => clearTimeout(timer));
}
