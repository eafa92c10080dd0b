// A bench: the shop, the load and the limits beside it, each a process of its own.
import { connect } from "node:net";
import { cpuUs, spent, sum } from "@piata/testkit/processes";
import type { ArgonAnswer, ArgonQuestion } from "./argon.ts";
import type { BareQuestion } from "./bare.ts";
import { flowOf, type World } from "./flows.ts";
import { Helper, type Mark } from "./helper.ts";
import type { LoadAnswer, LoadQuestion, Work } from "./load.ts";
import { FLOOD_CONNECTIONS, type Scenario, type WorldName } from "./scenarios.ts";
import { type Batches, type StartTimes, type Stock, System, seed } from "./system.ts";
import type { Figures, Span, Timed } from "./tally.ts";
import type { TransactionsAnswer, TransactionsQuestion } from "./transactions.ts";

/** Products that people look at are the same ones in each run. */
const SEED = 7;

/** The load and the limits. */
class Helpers {
  readonly load = new Helper<LoadQuestion, LoadAnswer>("load.ts");
  readonly bare = new Helper<BareQuestion, string>("bare.ts");
  readonly argon = new Helper<ArgonQuestion, ArgonAnswer>("argon.ts");
  readonly transactions = new Helper<TransactionsQuestion, TransactionsAnswer>("transactions.ts");

  async stop(): Promise<void> {
    const all = [this.load, this.bare, this.argon, this.transactions];
    await Promise.all(all.map((helper) => helper.stop()));
  }
}

/** What one round of a scenario found. */
export interface Sample extends Omit<Figures, "count"> {
  readonly perSecond: number;
  /** CPU µs per unit of work: of each program, of PostgreSQL by role, of the load. */
  readonly cpuUs: ReadonlyMap<string, number>;
  /** Of the shop's coalescers, in the round. */
  readonly batches: ReadonlyMap<string, Batches>;
  /** What went on beside it, per second. */
  readonly besidePerSecond: number | undefined;
  /** Of that, what was refused or came too late: a flood is more than can be done. */
  readonly besideErrors: number;
}

export interface BenchOptions {
  readonly compact: boolean;
  readonly stock: Stock;
  readonly env?: NodeJS.ProcessEnv;
  /** Started again after it was filled, so that this has left nothing in memory. */
  readonly isRestarted: boolean;
}

export class Bench {
  readonly system: System;
  readonly starts: StartTimes;
  readonly world: World;
  readonly #options: BenchOptions;
  #helpers: Helpers | undefined;
  #uncached: System | undefined;
  #passwordHash: string | undefined;
  #hasTables = false;

  private constructor(system: System, starts: StartTimes, world: World, options: BenchOptions) {
    this.system = system;
    this.starts = starts;
    this.world = world;
    this.#options = options;
  }

  /** Starts and fills the shop. */
  static async open(options: BenchOptions): Promise<Bench> {
    const { compact, env, stock, isRestarted } = options;
    const system = await System.start({ compact, ...(env && { env }) });
    try {
      const newMs = system.startMs;
      const world = await seed(system.shop, stock);
      if (isRestarted) await system.restart();
      const starts = { newMs, againMs: system.startMs };
      const { url } = system.shop;
      return new Bench(system, starts, { ...world, url }, options);
    } catch (error) {
      await system.stop();
      throw error;
    }
  }

  /**
   * Starts the load and the limits. Not before the memory of the idle shop is read: they share pages
   * with it, of which less is then counted as its own.
   */
  async begin(): Promise<void> {
    this.#helpers = new Helpers();
    await this.#tell("shop", this.world);
    await this.#openBare();
  }

  /** Ends all that is beside the shop. */
  async rest(): Promise<void> {
    await this.#helpers?.stop();
    this.#helpers = undefined;
    await this.#uncached?.stop();
    this.#uncached = undefined;
  }

  get #beside(): Helpers {
    if (this.#helpers === undefined) throw new Error("The bench has not begun.");
    return this.#helpers;
  }

  /** Another shop, whose gateway caches nothing. */
  async openUncached(): Promise<void> {
    const { compact, env, stock } = this.#options;
    const off = { ...env, GATEWAY_CATALOG_CACHE_PRODUCTS: "0" };
    this.#uncached = await System.start({ compact, env: off });
    const { shop } = this.#uncached;
    await this.#tell("uncached", await seed(shop, { ...stock, customers: 1 }));
  }

  /** One round of a scenario. */
  async round(scenario: Scenario, connections: number, span: Span): Promise<Sample> {
    const { kind } = scenario;
    if ("limit" in kind) {
      if (kind.limit === "argon2id") return this.#roundOfArgon(span);
      return this.#roundOfTransactions(connections, kind.limit === "hot", span);
    }
    const { flow, world } = kind;
    const work = { world, flow, connections, seed: SEED };
    const beside = kind.beside && { ...work, flow: kind.beside, connections: FLOOD_CONNECTIONS };
    return this.#roundOfLoad(work, beside, span);
  }

  /** How CPU time of the shop and of the load goes, and what the shop's coalescers did, during a load. */
  async #roundOfLoad(work: Work, beside: Work | undefined, span: Span): Promise<Sample> {
    const system = this.#uncached && work.world === "uncached" ? this.#uncached : this.system;
    const isBare = work.world === "bare";
    const cpu = () =>
      isBare ? new Map([["node:http", cpuUs(this.#beside.bare.pid)]]) : system.processes.cpu();
    const batchesOf = async () => (isBare ? new Map<string, Batches>() : system.batches());
    const before = await batchesOf();
    const { answer, cpuUs: total } = await watched(cpu, (onMark) =>
      this.#beside.load.ask({ kind: "run", work, beside, span }, onMark),
    );
    const batches = since(await batchesOf(), before);
    const { figures } = answer;
    const sample = sampleOf(figures, answer, total, batches);
    if (answer.beside === undefined) return sample;
    const { count, errors } = answer.beside;
    return { ...sample, besidePerSecond: (count * 1_000) / answer.ms, besideErrors: errors };
  }

  async #roundOfArgon(span: Span): Promise<Sample> {
    const [customer] = this.world.customers;
    if (customer === undefined) throw new Error("There is no customer.");
    this.#passwordHash ??= await this.#hashOf(customer.email);
    const { password } = customer;
    const question = { passwordHash: this.#passwordHash, password, span };
    const answer = await this.#beside.argon.ask(question);
    return sampleOf(answer.figures, answer, new Map(), new Map());
  }

  async #hashOf(email: string): Promise<string> {
    const url = await this.system.shop.databaseUrl("access");
    const sql = "select password_hash from users where email = $1";
    const [row] = await this.system.rows(url, sql, [email]);
    if (row?.password_hash === undefined) throw new Error("The customer has no password.");
    return row.password_hash;
  }

  async #roundOfTransactions(clients: number, isHot: boolean, span: Span): Promise<Sample> {
    if (!this.#hasTables) {
      const superuserUrl = await this.system.superuserUrl();
      const { products } = this.#options.stock;
      await this.#beside.transactions.ask({ kind: "open", superuserUrl, products });
      this.#hasTables = true;
    }
    const cpu = () => this.system.processes.cpu();
    const { answer, cpuUs: total } = await watched(cpu, (onMark) =>
      this.#beside.transactions.ask({ kind: "run", clients, isHot, span }, onMark),
    );
    const ofPostgres = [...total].filter(([name]) => /^postgres (limit|itself)$/.test(name));
    return sampleOf(answer.figures, answer, new Map(ofPostgres), new Map());
  }

  #tell(name: WorldName, world: World): Promise<LoadAnswer> {
    return this.#beside.load.ask({ kind: "world", name, world });
  }

  /** A bare server with an answer of the gateway's. */
  async #openBare(): Promise<void> {
    const { headers, body } = await rawProduct(this.world);
    const url = await this.#beside.bare.ask({ headers, body });
    await this.#tell("bare", { ...this.world, url });
  }

  async close(): Promise<void> {
    try {
      await this.rest();
    } finally {
      await this.system.stop();
    }
  }
}

/** Asks, and reads the CPU time at both marks. */
async function watched<Answer>(
  cpu: () => ReadonlyMap<string, number>,
  ask: (onMark: (mark: Mark) => void) => Promise<Answer>,
): Promise<{ answer: Answer; cpuUs: ReadonlyMap<string, number> }> {
  let [before, after] = [cpu(), cpu()];
  const answer = await ask((mark) => {
    if (mark === "begin") before = cpu();
    else after = cpu();
  });
  return { answer, cpuUs: spent(after, before) };
}

function sampleOf(
  { count, ...figures }: Figures,
  { ms, cpuUs: ofLoad }: Timed,
  total: ReadonlyMap<string, number>,
  batches: ReadonlyMap<string, Batches>,
): Sample {
  const each = [...total, ["load", ofLoad] as const].map(
    ([name, us]) => [name, us / Math.max(1, count)] as const,
  );
  return {
    ...figures,
    perSecond: (count * 1_000) / ms,
    cpuUs: new Map(each),
    batches,
    besidePerSecond: undefined,
    besideErrors: 0,
  };
}

function since(
  after: ReadonlyMap<string, Batches>,
  before: ReadonlyMap<string, Batches>,
): Map<string, Batches> {
  const rows = [...after].map(([name, { items, batches }]) => {
    const then = before.get(name) ?? { items: 0, batches: 0 };
    return [name, { items: items - then.items, batches: batches - then.batches }] as const;
  });
  return new Map(rows.filter(([, { batches }]) => batches > 0));
}

/** CPU µs of everything per unit, but the load. */
export const shopCpuUs = ({ cpuUs: all }: Pick<Sample, "cpuUs">): number =>
  sum([...all].filter(([name]) => name !== "load").map(([, us]) => us));

/** What node:http sets by itself, and would send twice. */
const OWN_HEADERS = new Set(["date", "connection", "keep-alive"]);

/** The gateway's answer to one look at a product, as it comes on the wire. */
async function rawProduct(world: World): Promise<BareQuestion> {
  const ask = flowOf("product", world, { lane: 0, lanes: 1, seed: SEED }).first();
  const { hostname: host, port } = new URL(world.url);
  const text = await new Promise<string>((resolve, reject) => {
    let received = "";
    const socket = connect({ host, port: Number(port) }, () => socket.write(ask.bytes));
    socket.setEncoding("utf8");
    socket.on("error", reject);
    socket.on("data", (chunk: string) => {
      received += chunk;
      const [head = "", body] = received.split("\r\n\r\n");
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]);
      if (body === undefined || Buffer.byteLength(body) < length) return;
      socket.destroy();
      resolve(received);
    });
  });
  const [head = "", body = ""] = text.split("\r\n\r\n");
  const [status = "", ...lines] = head.split("\r\n");
  if (!status.includes(" 200 ")) throw new Error(`The gateway does not answer: ${text}`);
  const headers = lines
    .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)] as const)
    .filter(([name]) => !OWN_HEADERS.has(name.toLowerCase()));
  return { headers: headers.flat(), body };
}
