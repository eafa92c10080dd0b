/** Requests that are small to send and would be much to do: none of them may reach a service. */
import { getIntrospectionQuery } from "graphql";

export interface Bomb {
  name: string;
  /** The request's body. */
  body: string;
}

const times = (count: number, piece: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => piece(index)).join(" ");
const asked = (query: string, rest: object = {}): string => JSON.stringify({ query, ...rest });

/** Each kind of bomb, by a number from 1 that makes it larger or at least another. */
const KINDS: Readonly<Record<string, (n: number) => string>> = {
  "fields in fields": (n) =>
    asked(`${"{ product(id: 1) ".repeat(20 * n)}{ id }${"}".repeat(20 * n)}`),
  "real fields, deeper than there are": (n) =>
    asked(`{ cart { lines ${"{ product ".repeat(15 + n)}{ id }${"}".repeat(15 + n)} } }`),
  "aliases of a root field": (n) =>
    asked(`{ ${times(n * 31, (index) => `a${index}: product(id: 1) { id }`)} }`),
  "10,000 aliases": (n) =>
    asked(`{ ${times(10_000, (index) => `a${n}${index}: hello`).slice(0, 98_000)} }`),
  "guesses of a password": (n) =>
    asked(
      `mutation { ${times(20 + n, (index) => `g${index}: login(input: { email: "a@b.ro", password: "${index}" })`)} }`,
    ),
  "a fragment within itself": (n) =>
    asked(
      `{ orders { items { ...F0 } } } ${times(n, (index) => `fragment F${index} on Order { id ...F${(index + 1) % n} }`)}`,
    ),
  "fragments that fan out": (n) =>
    asked(
      `{ orders { items { ...F0 } } } ${times(6 * n, (index) => `fragment F${index} on Order { ...F${index + 1} ...F${index + 1} }`)} fragment F${6 * n} on Order { ${times(30, (index) => `f${index}`)} ...G } fragment G on Order { lines { unitPrice { ${times(30, (index) => `g${index}`)} } } }`,
    ),
  "fields that are compared in pairs": (n) =>
    asked(`{ product(id: ${n}) { ${"exactPrice { amountMinor } ".repeat(200 + n)} } }`),
  "fragments that are compared in pairs": (n) =>
    asked(
      `{ product(id: ${n}) { ${times(10, (index) => `...F${index}`)} } } ${times(10, (index) => `fragment F${index} on ProductGraphqlType { ${"id ".repeat(6 + n)} }`)}`,
    ),
  directives: (n) => asked(`{ hello ${"@skip(if: false) ".repeat(20 + n * 10)} }`),
  "directives that are not there": (n) => asked(`{ hello ${"@a ".repeat(50 * n)} }`),
  "pages of everything": (n) =>
    asked(
      `query ($first: Int) { ${times(1 + n, (index) => `o${index}: orders(first: $first) { items { lines { productId quantity unitPrice { amountMinor currency } } total { amountMinor } refunded { amountMinor } id status reason createdAt } }`)} ${"hello ".repeat(3)} p: orders(first: 100) { items { lines { a b c d e f g h i j } } } }`,
      { variables: { first: 100 } },
    ),
  "the schema": (n) => asked(`${getIntrospectionQuery({ typeDepth: n })}`),
  "the schema in the schema": (n) =>
    asked(`{ __schema { types ${"{ fields { type ".repeat(n)} { name } ${"} }".repeat(n)} } }`),
  "a document of 1 MB": (n) => asked(`{ ${"hello ".repeat(170_000 + n)} }`),
  "variables of 1 MB": (n) =>
    asked("query ($id: Float!) { product(id: $id) { id } }", {
      variables: { id: 1, x: "a".repeat(1_000_000 + n) },
    }),
  "a list of operations": (n) =>
    JSON.stringify(
      Array.from({ length: 2 ** n }, () => ({ query: "{ products { nextCursor } }" })),
    ),
  "variables that nobody uses": (n) =>
    asked(`query (${times(24 * n, (index) => `$a${index}: Float`)}) { product(id: 1) { id } }`),
  "lists in lists": (n) => {
    const [open, close] = ["[".repeat(4_500 * n), "]".repeat(4_500 * n)];
    const query = "query ($id: Float!) { product(id: $id) { id } }";
    return `{ "query": "${query}", "variables": { "id": ${open}${close} } }`;
  },
  "variables with much wrong": (n) =>
    asked("mutation ($input: CreateProductInput!) { createProduct(input: $input) { id } }", {
      variables: {
        input:
          n % 2 === 0
            ? { name: "a", price: 1, unitsAvailable: 1, categoriesIds: Array(2_000 * n).fill("x") }
            : Object.fromEntries(
                Array.from({ length: 200 * n }, (_, at) => [`k${at}`, "x".repeat(40)]),
              ),
      },
    }),
  "comments, commas and strings": (n) =>
    asked(
      [
        `{ products { nextCursor } }${"#\n".repeat(4_500 * n)}`,
        `{ products { nextCursor } }${",".repeat(9_000 * n + 12_000)}`,
        `{ products(after: "${"\\u0041".repeat(3_500 + 900 * n)}") { nextCursor } }`,
      ][n % 3] as string,
    ),
};

/** So many different bombs, of every kind. */
export function bombs(count: number): Bomb[] {
  const kinds = Object.entries(KINDS);
  return Array.from({ length: count }, (_, index) => {
    const [name, make] = kinds[index % kinds.length] as (typeof kinds)[number];
    const n = 1 + Math.floor(index / kinds.length);
    return { name: `${name} (${n})`, body: make(n) };
  });
}
