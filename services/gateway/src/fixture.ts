/**
 * What the tests share: the gateway with every service that it needs behind it, each a real
 * process.
 */
import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { Secret } from "@piata/kit/config";
import { Database, statement } from "@piata/kit/pg";
import { createTestDatabase, type TestDatabase } from "@piata/testkit/database";
import { type RunningService, startService } from "@piata/testkit/service";
import { until } from "@piata/testkit/until";

const SERVICES = ["access", "catalog", "cart", "order", "payment"] as const;
type Service = (typeof SERVICES)[number];
type Program = Service | "gateway";
const STOP_ORDER: Program[][] = [["gateway"], ["access", "order"], ["catalog", "cart", "payment"]];

export interface Shop {
  readonly url: string;
  readonly programs: Readonly<Record<Program, RunningService>>;
  /** Runs a statement in a service's database. */
  sql<Row extends object>(service: Service, text: string, values?: unknown[]): Promise<Row[]>;
  /** A digest of each table of each database. */
  contents(): Promise<Record<string, string>>;
  /** Starts a service that was killed, at its old address. */
  startAgain(service: Service): Promise<void>;
  /** Another gateway in front of the same services. */
  startGateway(env: Record<string, string>): Promise<RunningService>;
  stop(): Promise<void>;
}

/** A gateway with nothing behind it but what is named. */
export function startGateway(env: Record<string, string> = {}): Promise<RunningService> {
  const nobody = "127.0.0.1:1";
  return startService("gateway", {
    GATEWAY_PORT: "0",
    // The connections that fetch keeps need no answer any more.
    GATEWAY_IDLE_MS: "0",
    ACCESS_TARGET: nobody,
    CATALOG_TARGET: nobody,
    CART_TARGET: nobody,
    ORDER_TARGET: nobody,
    ...env,
  });
}

/** Where a gateway's API is. */
export const urlOf = ({ address }: RunningService): string => `http://${address}/graphql`;

export async function startShop(gatewayEnv: Record<string, string> = {}): Promise<Shop> {
  const databases = await openDatabases();
  const environments: Partial<Record<Service, Record<string, string>>> = {};
  const start = (service: Service, env: Record<string, string> = {}) => {
    const own = { [`${service.toUpperCase()}_DATABASE_URL`]: databases[service].url, ...env };
    environments[service] = own;
    return startService(service, own);
  };
  const [catalog, cart, payment] = await Promise.all([
    start("catalog", { SHOP_CURRENCY: "EUR" }),
    start("cart"),
    start("payment", { PAYMENT_PROVIDER: "sandbox" }),
  ]);
  const [access, order] = await Promise.all([
    start("access", { CART_TARGET: cart.address }),
    start("order", {
      CART_TARGET: cart.address,
      CATALOG_TARGET: catalog.address,
      PAYMENT_TARGET: payment.address,
    }),
  ]);
  const startAnother = (env: Record<string, string>) =>
    startGateway({
      ACCESS_TARGET: access.address,
      CATALOG_TARGET: catalog.address,
      CART_TARGET: cart.address,
      ORDER_TARGET: order.address,
      ...env,
    });
  const gateway = await startAnother(gatewayEnv);
  const programs = { gateway, access, order, payment, cart, catalog };
  return {
    url: urlOf(gateway),
    programs,
    startGateway: startAnother,
    async startAgain(service) {
      const port = programs[service].address.split(":")[1] as string;
      const env = { ...environments[service], [`${service.toUpperCase()}_PORT`]: port };
      programs[service] = await startService(service, env);
    },
    sql: (service, text, values = []) => databases[service].sql(text, values),
    contents: async () => Object.assign({}, ...(await Promise.all(SERVICES.map(contentsOf)))),
    async stop() {
      // Callers first: nobody logs a neighbour that is gone.
      for (const group of STOP_ORDER) {
        await Promise.all(group.map((name) => stopCleanly(programs[name])));
      }
      await Promise.all(Object.values(databases).map((database) => database.drop()));
    },
  };

  function contentsOf(service: Service): Promise<Record<string, string>> {
    return digests(service, databases[service].sql);
  }
}

async function stopCleanly(program: RunningService): Promise<void> {
  const code = await program.stop();
  // One that a test has killed has no code.
  assert.ok(code === 0 || code === null, `exit code ${code}:\n${program.output()}`);
}

type Sql = <Row extends object>(text: string, values?: unknown[]) => Promise<Row[]>;
type ServiceDatabase = TestDatabase & { sql: Sql };

async function openDatabases(): Promise<Record<Service, ServiceDatabase>> {
  const opened = SERVICES.map(async (service) => {
    const database = await createTestDatabase({ template: "gateway_empty" });
    const pool = new Database(new Secret(database.url), { program: "gateway-test" });
    const sql: Sql = (text, values = []) =>
      pool.rows(statement(`test_${randomUUID()}`, text), values);
    const drop = async () => {
      await pool.close();
      await database.drop();
    };
    return [service, { ...database, sql, drop }] as const;
  });
  return Object.fromEntries(await Promise.all(opened)) as Record<Service, ServiceDatabase>;
}

async function digests(service: Service, sql: Sql): Promise<Record<string, string>> {
  const tables = await sql<{ name: string }>(
    // Wrong passwords are bad input that leaves a trace, on purpose; what changed is soon forgotten.
    `select format('%I.%I', schemaname, relname) as name from pg_stat_user_tables
      where relname not in ('password_guesses', 'changes')`,
  );
  const found = tables.map(async ({ name }) => {
    const [row] = await sql<{ digest: string }>(
      `select count(*) || ':' || md5(coalesce(string_agg(t::text, ',' order by t::text), '')) as digest
         from ${name} t`,
    );
    return [`${service} ${name}`, row?.digest ?? ""] as const;
  });
  return Object.fromEntries(await Promise.all(found));
}

export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it has asked for.
  data: any;
  errors: {
    message: string;
    path?: string[];
    extensions: {
      code: string;
      reason: string;
      traceId: string;
      metadata?: Record<string, string>;
    };
  }[];
}

/** Sends a request as it is. */
export async function send(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(10_000) });
  const { status, headers } = response;
  const { data, errors = [] } = (await response.json()) as Partial<Answer>;
  return { status, headers, data, errors };
}

export interface Asked {
  variables?: object;
  operationName?: string;
  headers?: Record<string, string>;
}

/** Asks as a client of GraphQL does. */
export function ask(url: string, query: string, asked: Asked = {}): Promise<Answer> {
  const { headers, ...rest } = asked;
  return send(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ query, ...rest }),
  });
}

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

export interface Person {
  email: string;
  password: string;
  token: string;
  refreshToken: string;
  headers: { authorization: string };
}

/** Registers somebody new and signs in as them. */
export async function newPerson(url: string): Promise<Person> {
  const input = { email: `${randomUUID()}@example.com`, password: randomBytes(12).toString("hex") };
  const variables = { input };
  const registered = await ask(
    url,
    "mutation ($input: RegisterUserInput!) { registerUser(input: $input) }",
    { variables },
  );
  assert.deepEqual(registered.errors, []);
  const { token, refreshToken } = await signIn(url, input);
  return { ...input, token, refreshToken, headers: bearer(token) };
}

export async function signIn(url: string, input: { email: string; password: string }) {
  const { data } = await ask(
    url,
    "mutation ($input: AuthLoginInput!) { signIn(input: $input) { accessToken refreshToken } }",
    { variables: { input: { email: input.email, password: input.password } } },
  );
  const { accessToken, refreshToken } = data.signIn as Record<string, string>;
  return { token: accessToken as string, refreshToken: refreshToken as string };
}

export async function newProduct(url: string, person: Person, other: object = {}) {
  const input = {
    name: `Product ${randomUUID()}`,
    price: 19.5,
    unitsAvailable: 10,
    categoriesIds: [],
    ...other,
  };
  const { data, errors } = await ask(
    url,
    "mutation ($input: CreateProductInput!) { createProduct(input: $input) { id } }",
    { variables: { input }, headers: person.headers },
  );
  assert.deepEqual(errors, []);
  return data.createProduct.id as number;
}

export async function addToCart(url: string, person: Person, productId: number, quantity = 1) {
  const { errors } = await ask(
    url,
    "mutation ($input: CartItemInput!) { addToCart(input: $input) }",
    { variables: { input: { productId, quantity } }, headers: person.headers },
  );
  assert.deepEqual(errors, []);
}

/** Places an order of what is in the cart. */
export async function placeOrder(url: string, person: Person, asked: Asked = {}) {
  const query = "mutation ($key: String) { initOrder(idempotencyKey: $key) { orderId } }";
  const headers = { ...person.headers, ...asked.headers };
  const { data, errors } = await ask(url, query, { ...asked, headers });
  assert.deepEqual(errors, []);
  return data.initOrder.orderId as number;
}

/** Waits until a program has logged a line of the trace. */
export const untilLogged = (program: RunningService, traceId: string) =>
  until(() => program.output().includes(traceId), { what: `a log line of trace ${traceId}` });
