// docs/permissions.md, cell by cell, on a whole shop.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Client, type GraphqlFailure } from "@piata/testkit/client";
import { type RunningService, startService } from "@piata/testkit/service";
import { type Shop, startShop } from "@piata/testkit/shop";
import { ASKS, assertTheirs, type Scene, type Whose } from "./asks.ts";
import { Crowd, IDENTITIES, type Person } from "./identities.ts";
import {
  type Operation,
  operations,
  permissionsPage,
  type Row,
  tableUnder,
} from "./permission-tables.ts";

const TABLES: Readonly<Record<Whose, string>> = {
  own: "On what is one's own",
  "another's": "On what is another's",
  "nothing's": "On what does not exist",
};
const STAFF_SHOP = "CATALOG_WRITERS=staff";

let shop: Shop;
let crowd: Crowd;
/** Where only staff fills the catalogue, on the same data. */
let staffShopUrl: string;
let known: Map<string, Operation>;
let tables: Record<Whose, Row[]>;
const services: RunningService[] = [];

before(async () => {
  const page = await permissionsPage();
  known = await operations();
  tables = {
    own: tableUnder(page, TABLES.own),
    "another's": tableUnder(page, TABLES["another's"]),
    "nothing's": tableUnder(page, TABLES["nothing's"]),
  };
  shop = await startShop();
  [crowd, staffShopUrl] = await Promise.all([Crowd.gather(shop), openStaffShop()]);
});

after(async () => {
  crowd?.close();
  for (const service of services.reverse()) await service.stop();
  await shop?.stop();
});

/** A catalogue with the other setting, and a gateway before it; the rest is the shop's. */
async function openStaffShop(): Promise<string> {
  const secrets = join(shop.dataDir, "secrets");
  const common = { PIATA_PUBLIC_KEYS_FILE: join(secrets, "public-keys.json") };
  const catalog = await startService("catalog", {
    ...common,
    CATALOG_TLS_DIR: join(secrets, "tls/catalog"),
    CATALOG_DATABASE_URL: await shop.databaseUrl("catalog"),
    CATALOG_WRITERS: "staff",
    CATALOG_PORT: "0",
    CATALOG_HTTP_PORT: "0",
  });
  services.push(catalog);
  const gateway = await startService("gateway", {
    ...common,
    GATEWAY_TLS_DIR: join(secrets, "tls/gateway"),
    GATEWAY_PORT: "0",
    GATEWAY_HTTP_PORT: "0",
    ACCESS_TARGET: (await shop.process("access")).address,
    CATALOG_TARGET: catalog.address,
    CART_TARGET: (await shop.process("cart")).address,
    ORDER_TARGET: (await shop.process("order")).address,
  });
  services.push(gateway);
  return `http://${gateway.address}/graphql`;
}

interface Outcome {
  /** As a cell has it. */
  text: string;
  failure: GraphqlFailure | undefined;
  variables: Record<string, unknown>;
}

/** What becomes of an operation, of each way to ask for it. */
async function outcomesOf(row: Row, scene: Scene): Promise<Outcome[]> {
  const [name = "", setting] = (row.operation as string).split(", ");
  const operation = known.get(name) as Operation;
  const outcomes: Outcome[] = [];
  for (const { variables, client = scene.actor.client } of (await ASKS[name]?.(scene)) ?? []) {
    const asking = setting === STAFF_SHOP ? new Client(staffShopUrl, client.token) : client;
    const { data, errors } = await asking.graphql(operation.document, variables);
    const [failure] = errors;
    if (!failure) assertTheirs(name, data, scene);
    const { code, reason } = failure?.extensions ?? {};
    outcomes.push({ text: failure ? `${code} / ${reason}` : "OK", failure, variables });
  }
  return outcomes;
}

interface Cell {
  row: Row;
  person: Person;
  outcomes: Outcome[];
}

/** Carries a table out: everyone at once, each line by line. */
async function carryOut(whose: Whose): Promise<Cell[]> {
  const cells = crowd.everyone.map(async (person) => {
    const done: Cell[] = [];
    for (const row of tables[whose]) {
      const owner = whose === "another's" ? crowd.otherThan(person) : person;
      const outcomes = await outcomesOf(row, { crowd, actor: person, owner, whose });
      done.push({ row, person, outcomes });
    }
    return done;
  });
  return (await Promise.all(cells)).flat();
}

/** What is not as written. */
const wrong = (cells: Cell[]): string[] =>
  cells.flatMap(({ row, person: { identity }, outcomes }) =>
    outcomes
      .filter(({ text }) => text !== row[identity])
      .map(({ text }) => `${row.operation}, ${identity}: ${text}, not ${row[identity]}`),
  );

function tell(whose: Whose, cells: Cell[]): void {
  const asked = cells.reduce((sum, { outcomes }) => sum + outcomes.length, 0);
  const written = tables[whose].length * IDENTITIES.length;
  console.log(`${TABLES[whose].toLowerCase()}: ${written} cells, ${asked} requests: as written`);
}

/** A failure without what was asked for: what another's and nothing's have to have in common. */
function anonymous({ failure, variables }: Outcome): string {
  const { message, extensions } = failure as GraphqlFailure;
  const { traceId, ...said } = extensions ?? {};
  let text = JSON.stringify({ message, ...said });
  for (const value of [variables, variables.input ?? {}].flatMap(Object.values)) {
    if (typeof value !== "object") text = text.replaceAll(String(value), "…");
  }
  return text;
}

describe("docs/permissions.md", () => {
  it("has every operation of the schema, and no other", () => {
    const plain = tables.own.map(({ operation = "" }) => operation);
    const ofStaffShop = plain.filter((operation) => operation.endsWith(`, ${STAFF_SHOP}`));
    assert.deepEqual(
      plain.filter((operation) => !ofStaffShop.includes(operation)).sort(),
      [...known.keys()].sort(),
    );
    assert.equal(ofStaffShop.length, 2);
    assert.deepEqual(Object.keys(ASKS).sort(), [...known.keys()].sort());
  });

  it("has every operation that names something in the tables of the other things", () => {
    const naming = [...known.values()].filter(({ namesThings }) => namesThings);
    const names = naming.map(({ name }) => name).sort();
    for (const whose of ["another's", "nothing's"] as const) {
      assert.deepEqual(tables[whose].map(({ operation }) => operation).sort(), names, whose);
    }
  });
});

describe("a shop", () => {
  const done: Partial<Record<Whose, Cell[]>> = {};

  for (const whose of ["another's", "nothing's", "own"] as const) {
    it(`is as written: ${TABLES[whose].toLowerCase()}`, async () => {
      const cells = await carryOut(whose);
      assert.deepEqual(wrong(cells), []);
      done[whose] = cells;
      tell(whose, cells);
    });
  }

  it("says of another's what it says of nothing, word by word", () => {
    let count = 0;
    for (const { row, person, outcomes } of done["another's"] ?? []) {
      const nothing = done["nothing's"]?.find(
        (cell) => cell.person === person && cell.row.operation === row.operation,
      );
      for (const outcome of outcomes.filter(({ failure }) => failure)) {
        for (const unknown of nothing?.outcomes ?? []) {
          assert.equal(anonymous(outcome), anonymous(unknown), `${row.operation}`);
          count += 1;
        }
      }
    }
    assert.ok(count > 0);
    console.log(`${count} pairs of another's and nothing's: the same words`);
  });

  it("takes no longer to say so", async () => {
    const { client } = crowd.the("other customer");
    const document = known.get("orderStatus")?.document as string;
    const msOf = async (orderId: number) => {
      const startMs = performance.now();
      await client.graphql(document, { orderId });
      return performance.now() - startMs;
    };
    const [theirs, nothing]: [number[], number[]] = [[], []];
    for (let round = 0; round < 50; round += 1) {
      theirs.push(await msOf(crowd.the("customer").paidOrder));
      nothing.push(await msOf(1_900_000_000 + round));
    }
    const [theirMs, nothingMs] = [median(theirs), median(nothing)];
    console.log(`another's order: ${theirMs.toFixed(2)} ms, none: ${nothingMs.toFixed(2)} ms`);
    assert.ok(theirMs < 2 * nothingMs + 5 && nothingMs < 2 * theirMs + 5);
  });
});

const median = (times: number[]): number =>
  times.toSorted((one, other) => one - other)[times.length >> 1] as number;
