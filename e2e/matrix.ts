// Carries out the tables of docs/permissions.md that are about people.
import { Client, type GraphqlFailure } from "@piata/testkit/client";
import { ASKS, assertTheirs, type Scene, type Whose } from "./asks.ts";
import { type Crowd, IDENTITIES, type Person } from "./identities.ts";
import { type Operation, type Row, tableUnder } from "./permission-tables.ts";

export const HEADINGS: Readonly<Record<Whose, string>> = {
  own: "On what is one's own",
  "another's": "On what is another's",
  "nothing's": "On what does not exist",
};

/** Marks an operation of a shop where only staff fills the catalogue. */
export const STAFF_SHOP = "CATALOG_WRITERS=staff";

export type Tables = Readonly<Record<Whose, Row[]>>;

export const tablesOf = (page: string): Tables => ({
  own: tableUnder(page, HEADINGS.own),
  "another's": tableUnder(page, HEADINGS["another's"]),
  "nothing's": tableUnder(page, HEADINGS["nothing's"]),
});

interface Outcome {
  /** As a cell has it. */
  text: string;
  failure: GraphqlFailure | undefined;
  variables: Record<string, unknown>;
}

/** What became of an operation of one person, of each way to ask for it. */
export interface Cell {
  row: Row;
  person: Person;
  outcomes: Outcome[];
}

export interface MatrixOptions {
  crowd: Crowd;
  tables: Tables;
  operations: ReadonlyMap<string, Operation>;
  /** Where only staff fills the catalogue. */
  staffShopUrl: string;
}

/** Everyone, before every operation. */
export class Matrix {
  readonly #options: MatrixOptions;

  constructor(options: MatrixOptions) {
    this.#options = options;
  }

  /** Carries a table out: everyone at once, each line by line. */
  async carryOut(whose: Whose): Promise<Cell[]> {
    const { crowd, tables } = this.#options;
    const cells = crowd.everyone.map(async (person) => {
      const done: Cell[] = [];
      for (const row of tables[whose]) {
        const owner = whose === "another's" ? crowd.otherThan(person) : person;
        const outcomes = await this.#ask(row, { crowd, actor: person, owner, whose });
        done.push({ row, person, outcomes });
      }
      return done;
    });
    return (await Promise.all(cells)).flat();
  }

  async #ask(row: Row, scene: Scene): Promise<Outcome[]> {
    const { operations, staffShopUrl } = this.#options;
    const [name = "", setting] = (row.operation as string).split(", ");
    const { document } = operations.get(name) as Operation;
    const outcomes: Outcome[] = [];
    for (const { variables, client = scene.actor.client } of (await ASKS[name]?.(scene)) ?? []) {
      const asking = setting === STAFF_SHOP ? new Client(staffShopUrl, client.token) : client;
      const { data, errors } = await asking.graphql(document, variables);
      const [failure] = errors;
      if (!failure) assertTheirs(name, data, scene);
      const { code, reason } = failure?.extensions ?? {};
      outcomes.push({ text: failure ? `${code} / ${reason}` : "OK", failure, variables });
    }
    return outcomes;
  }
}

/** What is not as written. */
export const wrong = (cells: readonly Cell[]): string[] =>
  cells.flatMap(({ row, person: { identity }, outcomes }) =>
    outcomes
      .filter(({ text }) => text !== row[identity])
      .map(({ text }) => `${row.operation}, ${identity}: ${text}, not ${row[identity]}`),
  );

/** How much was carried out. */
export function summary(whose: Whose, cells: readonly Cell[]): string {
  const rows = new Set(cells.map(({ row }) => row)).size;
  const requests = cells.reduce((sum, { outcomes }) => sum + outcomes.length, 0);
  return `${HEADINGS[whose]}: ${rows * IDENTITIES.length} cells, ${requests} requests: as written`;
}

/** The failures of another's beside those of nothing's, without what was asked for. */
export function pairs(anothers: readonly Cell[], nothings: readonly Cell[]): [string, string][] {
  return anothers.flatMap(({ row, person, outcomes }) => {
    const other = nothings.find(
      (cell) => cell.person === person && cell.row.operation === row.operation,
    );
    return outcomes
      .filter(({ failure }) => failure)
      .flatMap((outcome) =>
        (other?.outcomes ?? []).map((unknown): [string, string] => [
          `${row.operation}: ${anonymous(outcome)}`,
          `${row.operation}: ${anonymous(unknown)}`,
        ]),
      );
  });
}

function anonymous({ failure, variables }: Outcome): string {
  const { message, extensions } = failure ?? {};
  const { traceId, ...said } = extensions ?? {};
  let text = JSON.stringify({ message, ...said });
  for (const value of [variables, variables.input ?? {}].flatMap(Object.values)) {
    if (typeof value !== "object") text = text.replaceAll(String(value), "…");
  }
  return text;
}
