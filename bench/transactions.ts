// The limit of the purchases: an order, its line and the stock in one transaction, straight on PostgreSQL.
import pg from "pg";
import { answerQuestions } from "./helper.ts";
import { type Figures, type Span, Tally, type Timed, timed } from "./tally.ts";

const DATABASE = "bench";
/** The server takes 200 connections, and the shop has most of them. */
const CONNECTIONS_MAX = 64;
const UNITS = 1_000_000_000;

export type TransactionsQuestion =
  | { readonly kind: "open"; readonly superuserUrl: string; readonly products: number }
  | {
      readonly kind: "run";
      /** Transactions under way at once. */
      readonly clients: number;
      /** All of one product's stock. */
      readonly isHot: boolean;
      readonly span: Span;
    };

export interface TransactionsAnswer extends Timed {
  readonly figures: Figures;
}

const TABLES = `
  create table orders (
    id bigint generated always as identity primary key,
    customer_id integer not null,
    total_minor bigint not null,
    created_at timestamptz not null default now()
  );
  create table lines (
    order_id bigint not null references orders,
    product_id integer not null,
    quantity integer not null,
    primary key (order_id, product_id)
  );
  create table stock (
    product_id integer primary key,
    available integer not null check (available >= 0)
  ) with (fillfactor = 50);
`;

const BEGIN = { name: "begin", text: "begin" };
const COMMIT = { name: "commit", text: "commit" };
const INSERT_ORDER = {
  name: "insert_order",
  text: "insert into orders (customer_id, total_minor) values ($1, $2)",
};
// The id that the statement before it was given: nothing waits for an answer in between.
const INSERT_LINE = {
  name: "insert_line",
  text: `insert into lines (order_id, product_id, quantity)
         values (currval(pg_get_serial_sequence('orders', 'id')), $1, 1)`,
};
const TAKE = {
  name: "take",
  text: "update stock set available = available - 1 where product_id = $1",
};

/** They stay: what PostgreSQL did for one that has ended could not be read any more. */
const connections: pg.Client[] = [];
let url = "";
let products = 0;

async function open(superuserUrl: string, count: number): Promise<void> {
  const admin = new pg.Client({ connectionString: superuserUrl });
  await admin.connect();
  await admin.query(`create database ${DATABASE}`);
  await admin.end();
  const own = new URL(superuserUrl);
  own.pathname = `/${DATABASE}`;
  [url, products] = [own.href, count];
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(TABLES);
  await client.query("insert into stock select id, $2 from generate_series(1, $1::int) as id", [
    count,
    UNITS,
  ]);
  await client.end();
}

/** All five statements go out at once. */
async function transact(client: pg.Client, productId: number): Promise<void> {
  await Promise.all([
    client.query(BEGIN),
    client.query({ ...INSERT_ORDER, values: [productId, 1_000] }),
    client.query({ ...INSERT_LINE, values: [productId] }),
    client.query({ ...TAKE, values: [productId] }),
    client.query(COMMIT),
  ]);
}

async function run(
  { clients, isHot, span }: Extract<TransactionsQuestion, { kind: "run" }>,
  mark: (mark: "begin" | "end") => void,
): Promise<TransactionsAnswer> {
  const wanted = Math.min(clients, CONNECTIONS_MAX);
  while (connections.length < wanted) {
    const config = { connectionString: url, pipeline: true };
    const connection = new pg.Client(config);
    await connection.connect();
    connections.push(connection);
  }
  const tally = new Tally();
  let isWanted = true;
  let next = 0;
  const work = async (index: number) => {
    const connection = connections[index % wanted] as pg.Client;
    while (isWanted) {
      next += 1;
      const startMs = performance.now();
      try {
        await transact(connection, isHot ? 1 : 1 + ((next * 7_919) % products));
        tally.add(performance.now() - startMs, 1);
      } catch (error) {
        tally.fail((error as Error).message);
      }
    }
  };
  const working = Array.from({ length: clients }, (_, index) => work(index));
  const took = await timed(span, [tally], mark);
  isWanted = false;
  await Promise.all(working);
  return { ...took, figures: tally.figures() };
}

answerQuestions<TransactionsQuestion, TransactionsAnswer | undefined>(async (question, mark) => {
  if (question.kind === "run") return run(question, mark);
  await open(question.superuserUrl, question.products);
  return undefined;
});
