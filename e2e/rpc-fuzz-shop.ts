// Every service as a real process, without a gateway, and raw bytes as calls to their RPCs.
import { readFileSync } from "node:fs";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { AccessServiceService } from "@piata/contracts/access";
import { CartServiceService } from "@piata/contracts/cart";
import { CatalogServiceService } from "@piata/contracts/catalog";
import { Role } from "@piata/contracts/item";
import { OrderServiceService } from "@piata/contracts/order";
import { UserServiceService } from "@piata/contracts/user";
import { ownContext } from "@piata/kit/context";
import { openClient } from "@piata/kit/trial";
import { createTestDatabase, type TestDatabase } from "@piata/testkit/database";
import { as, passportOf } from "@piata/testkit/identity";
import { type RunningService, startService } from "@piata/testkit/service";
import pg from "pg";

const DEADLINE_MS = 60_000;

/** Where honest ids begin: the fuzz says others, so that it cannot speak for an honest order. */
export const FIRST_USER_ID = 100_001;
export const FIRST_ORDER_ID = 5_000_001;

/** What became of a call: `code` is gRPC's name of its status. */
export interface Outcome {
  code: string;
  details: string;
  metadata: Metadata;
  /** Undefined when there was none. */
  response: Buffer | undefined;
}

const same = (bytes: Buffer): Buffer => bytes;

/** Calls a method of any name with any bytes. */
export class RawClient {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure());
  }

  call(path: string, caller: string, request: Buffer, streams = false): Promise<Outcome> {
    const metadata = new Metadata();
    metadata.set("x-caller", caller);
    const options = { deadline: Date.now() + DEADLINE_MS };
    return new Promise((resolve) => {
      const failed = ({ code, details, metadata: trailers }: ServiceError) =>
        resolve({
          code: status[code] ?? String(code),
          details,
          metadata: trailers,
          response: undefined,
        });
      const answered = (response: Buffer | undefined) =>
        resolve({ code: "OK", details: "", metadata: new Metadata(), response });
      if (!streams) {
        this.#client.makeUnaryRequest(
          path,
          same,
          same,
          request,
          metadata,
          options,
          (error, response) => (error ? failed(error) : answered(response)),
        );
        return;
      }
      // A watch has no end: its first answer is enough.
      const stream = this.#client.makeServerStreamRequest(
        path,
        same,
        same,
        request,
        metadata,
        options,
      );
      stream.on("error", failed);
      stream.once("data", (response: Buffer) => {
        answered(response);
        stream.cancel();
      });
      stream.once("end", () => answered(undefined));
    });
  }

  close(): void {
    this.#client.close();
  }
}

const NAMES = ["access", "cart", "catalog", "order", "payment", "discovery"] as const;
export type Name = (typeof NAMES)[number];

export interface Services {
  running: Readonly<Record<Name, RunningService>>;
  raw: Readonly<Record<Name, RawClient>>;
  /** Rows of a service's own database. */
  rows(name: Name, sql: string): Promise<Record<string, unknown>[]>;
  /** Resident memory of each, in MiB; on Linux only. */
  residentMib(): Record<Name, number> | undefined;
  stop(): Promise<void>;
}

/** Starts them all, on databases of their own. */
export async function startServices(): Promise<Services> {
  const databases = new Map<Name, TestDatabase>();
  const running = {} as Record<Name, RunningService>;
  const start = async (name: Name, env: Record<string, string> = {}) => {
    if (name !== "discovery") {
      const database = await createTestDatabase({ template: "rpc_fuzz" });
      databases.set(name, database);
      env[`${name.toUpperCase()}_DATABASE_URL`] = database.url;
    }
    running[name] = await startService(name, env);
  };
  await Promise.all([
    start("cart"),
    start("catalog", { CATALOG_WRITES_PER_DAY: "1000000" }),
    start("payment", {
      PAYMENT_PROVIDER: "sandbox",
      PAYMENT_SANDBOX_SLOW_MS: "20",
      PAYMENT_RECONCILE_AGE_SECONDS: "0",
    }),
    start("discovery"),
  ]);
  await Promise.all([
    start("access", { CART_TARGET: running.cart.address }),
    start("order", {
      CART_TARGET: running.cart.address,
      CATALOG_TARGET: running.catalog.address,
      PAYMENT_TARGET: running.payment.address,
    }),
  ]);
  const rows: Services["rows"] = async (name, sql) => {
    const client = new pg.Client({ connectionString: databases.get(name)?.url });
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  };
  await rows("access", `alter table users alter id restart with ${FIRST_USER_ID}`);
  await rows("order", `alter table orders alter id restart with ${FIRST_ORDER_ID}`);
  const each = <Value>(make: (name: Name) => Value) =>
    Object.fromEntries(NAMES.map((name) => [name, make(name)])) as Record<Name, Value>;
  const raw = each((name) => new RawClient(running[name].address));
  return {
    running,
    raw,
    rows,
    residentMib: () =>
      process.platform === "linux" ? each((name) => residentMib(running[name].pid)) : undefined,
    async stop() {
      for (const client of Object.values(raw)) client.close();
      await Promise.all(Object.values(running).map((service) => service.stop()));
      for (const database of databases.values()) await database.drop();
    },
  };
}

function residentMib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_024);
}

/** Calls as programs make them, each as one that may. */
export function honestClients({ running }: Services) {
  const open = <Definition extends object>(name: Name, definition: Definition, by = {}) =>
    openClient({ service: name, target: running[name].address }, definition, by);
  const access = open("access", AccessServiceService);
  const user = open("access", UserServiceService);
  const cart = open("cart", CartServiceService);
  const catalog = open("catalog", CatalogServiceService);
  const order = open("order", OrderServiceService);
  return {
    access: access.rpc,
    user: user.rpc,
    cart: cart.rpc,
    catalog: catalog.rpc,
    order: order.rpc,
    close: () => {
      for (const client of [access, user, cart, catalog, order]) client.close();
    },
  };
}

export type HonestClients = ReturnType<typeof honestClients>;

export const patiently = () => ownContext(DEADLINE_MS);

/** What the fuzz may know: people, their secrets, and products. */
export interface Known {
  emails: string[];
  passwords: string[];
  tokens: string[];
  passports: string[];
  /** Passports of those who may delete themselves. */
  leaving: string[];
  userIds: number[];
  /** With how many units each began. */
  products: { id: number; units: number }[];
}

const PASSWORD = "a long enough secret";

/** Registers people and offers products, each with its units. */
export async function populate(clients: HonestClients): Promise<Known> {
  const { user, access, catalog } = clients;
  const emails = Array.from({ length: 8 }, (_, index) => `fuzz-${index}@example.com`);
  const userIds: number[] = [];
  const tokens: string[] = [];
  for (const email of emails) {
    const credentials = { email, password: PASSWORD };
    const { user: registered } = await user.registerUser(credentials, patiently());
    userIds.push(registered?.id ?? 0);
    const { tokens: pair } = await access.login({ ...credentials }, patiently());
    tokens.push(pair?.accessToken ?? "", pair?.refreshToken ?? "");
  }
  const [staffId = 0, leavingId = 0, ...customerIds] = userIds;
  const passports = [
    ...customerIds.map((userId) => passportOf({ userId, role: Role.CUSTOMER })),
    ...customerIds.map(() => passportOf({ userId: staffId, role: Role.STAFF })),
    `${passportOf({ userId: staffId, role: Role.STAFF })}x`,
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
  ];
  const products = await Promise.all(
    [0, 3, 50, 1_000, 1_000_000_000].map(async (units) => ({
      id: await offer(catalog, staffId, units),
      units,
    })),
  );
  const leaving = [leavingId, 1, 900].map((userId) => passportOf({ userId, role: Role.CUSTOMER }));
  const ids = [staffId, ...customerIds];
  return {
    emails,
    passwords: [PASSWORD],
    tokens,
    passports,
    leaving,
    userIds: ids,
    products,
  };
}

/** A product of 9.99. */
export async function offer(
  catalog: HonestClients["catalog"],
  sellerId: number,
  unitsAvailable: number,
): Promise<number> {
  const { product } = await catalog.createProduct(
    {
      ...as(sellerId),
      name: "Cheese",
      price: 9.99,
      imageUrl: "",
      unitsAvailable,
      categoryIds: [],
    },
    patiently(),
  );
  return product?.id ?? 0;
}
