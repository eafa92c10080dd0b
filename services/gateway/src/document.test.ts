import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { readConfig } from "@piata/kit/config";
import { isFailure } from "@piata/kit/errors";
import { buildSchema, getIntrospectionQuery } from "graphql";
import { limitsOf, settings } from "./config.js";
import { checkVariables, type DocumentLimits, judge } from "./document.js";

const schema = buildSchema(await readFile(new URL("../schema.graphql", import.meta.url), "utf8"));
const limits = limitsOf(readConfig(settings, {}));
const rules = { schema, limits, introspection: false };

const times = (count: number, piece: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => piece(index)).join(" ");

const names = (count: number): string => times(count, (index) => `f${index}`);

const cost = (text: string) => judge(text, rules).operations[0]?.cost;

function exceeded(text: string): string | undefined {
  try {
    judge(text, rules);
  } catch (error) {
    if (!isFailure(error, "DOCUMENT_TOO_LARGE")) throw error;
    const { limit, max } = error.metadata;
    assert.equal(max, String(limits[limit as keyof DocumentLimits]));
    return limit;
  }
  return undefined;
}

describe("a document", () => {
  const nested = (depth: number) => `{ ${"a { ".repeat(depth - 1)}a${" }".repeat(depth)}`;
  const EDGES: Record<
    Exclude<keyof DocumentLimits, "tokens" | "values">,
    (size: number) => string
  > = {
    length: (size) => "{ hello }".padEnd(size),
    depth: nested,
    aliases: (size) => `{ product(id: 1) { ${times(size, (index) => `a${index}: id`)} } }`,
    directives: (size) => `{ hello ${"@skip(if: false) ".repeat(size)} }`,
    repeats: (size) => `{ product(id: 1) { ${"id ".repeat(size)} } }`,
    rootFields: (size) => `{ ${"hello ".repeat(size)} }`,
    complexity: (size) =>
      `{ orders(first: 100) { items { ${names(98)} } } me { ${names(size - 9_902)} } }`,
  };

  for (const [limit, make] of Object.entries(EDGES)) {
    const max = limits[limit as keyof DocumentLimits];
    it(`may reach the limit of ${limit} and not exceed it`, () => {
      assert.equal(exceeded(make(max)), undefined);
      assert.equal(exceeded(make(max + 1)), limit);
    });
  }

  it("may reach the limit of tokens and not exceed it, and comments count by themselves", () => {
    const list = (items: number) => `{ product(id: [${"1 ".repeat(items)}]) { id } }`;
    assert.equal(exceeded(list(limits.tokens - 12)), undefined);
    assert.equal(exceeded(list(limits.tokens - 11)), "tokens");
    assert.equal(exceeded(`{ hello }${"\n#".repeat(limits.tokens)}`), undefined);
    assert.equal(exceeded(`{ hello }${"\n#".repeat(limits.tokens + 1)}`), "tokens");
  });

  it("is measured with its fragments written out, in each of its operations", () => {
    const deep = `fragment F on Order ${nested(limits.depth)}`;
    assert.equal(exceeded(`query A { hello } query B { b { ...F } } ${deep}`), "depth");
    assert.equal(exceeded(`query A { hello } ${deep}`), undefined);
    const roots = `fragment F on Query { ${"hello ".repeat(11)} }`;
    assert.equal(exceeded(`query A { hello } query B { ...F } ${roots}`), undefined);
    assert.equal(
      exceeded(`query A { hello } query B { ...F ... { ...F } } ${roots}`),
      "rootFields",
    );
  });

  it("is measured in what nobody uses, too", () => {
    const unused = (body: string) => `query A { hello } fragment F on Order { ${body} }`;
    assert.equal(exceeded(unused(`${"a {".repeat(15)}a${"}".repeat(15)}`)), "depth");
    assert.equal(exceeded(unused(times(31, (index) => `a${index}: id`))), "aliases");
    assert.equal(exceeded(unused("id @skip(if: true) ".repeat(21))), "directives");
    assert.equal(exceeded(unused("id ".repeat(51))), "repeats");
    const variables = `query ($a: Int ${"@a ".repeat(21)}) @b { hello }`;
    assert.equal(exceeded(variables), "directives");
  });

  it("of fragments that fan out is measured in a moment", () => {
    const fan = times(
      60,
      (index) => `fragment F${index} on Order { ...F${index + 1} ...F${index + 1} }`,
    );
    const text = `{ orders { items { ...F0 } } } ${fan} fragment F60 on Order { id }`;
    const start = performance.now();
    assert.equal(exceeded(text), "complexity");
    assert.ok(performance.now() - start < 500);
  });

  it("whose fragments contain themselves is refused", () => {
    const within = /Cannot spread fragment "A" within itself/;
    const query = "{ orders { items { ...A } } }";
    assert.throws(() => judge(`${query} fragment A on Order { ...A }`, rules), within);
    const ring = "fragment A on Order { lines { ...B } } fragment B on OrderLine { ...A }";
    assert.throws(() => judge(`${query} ${ring}`, rules), within);
    assert.throws(() => judge(`{ hello } ${ring}`, rules), within, "also where nobody uses them");
  });

  it("may have variables of so many values, however they are put together", () => {
    const refused = (variables: object) => {
      try {
        checkVariables(variables, limits);
      } catch (error) {
        return isFailure(error, "DOCUMENT_TOO_LARGE") && error.metadata.limit;
      }
      return undefined;
    };
    const list = (length: number) => Array.from({ length }, () => null);
    const deep = (depth: number): object => JSON.parse(`${"[".repeat(depth)}${"]".repeat(depth)}`);
    const keys = (length: number) => Object.fromEntries(list(length).map((_, at) => [`k${at}`, 1]));
    for (const [make, most] of [
      [(size: number) => ({ a: list(size) }), limits.values - 1],
      [(size: number) => ({ a: keys(size / 2), b: list(size / 2) }), limits.values - 2],
      [(size: number) => ({ a: { b: [keys(size)] } }), limits.values - 3],
      [(size: number) => ({ a: deep(size) }), limits.values],
    ] as const) {
      assert.equal(refused(make(most)), undefined);
      assert.equal(refused(make(most + 2)), "values");
      assert.equal(refused(make(40_000)), "values");
    }
    assert.equal(refused({ a: "x".repeat(90_000) }), undefined);
  });

  it("costs a field each, and lists as often as there can be items", () => {
    assert.equal(cost("{ hello }"), 1);
    assert.equal(cost("{ product(id: 1) { id exactPrice { currency } } }"), 4);
    assert.equal(cost("{ categories { id name } }"), 1 + 1_000 * 2);
    assert.equal(cost("{ products { items { id } nextCursor } }"), 1 + 20 * 3);
    assert.equal(cost("{ products(first: 5) { items { id } } }"), 1 + 5 * 2);
    assert.equal(
      cost(
        "{ products(first: 5) { ...P ... { nextCursor } } } fragment P on ProductPage { items { id } }",
      ),
      1 + 5 * 3,
    );
    for (const first of ["$n", "1000000", "99999999999999999999", '"x"', "null"]) {
      assert.equal(cost(`query ($n: Int) { products(first: ${first}) { nextCursor } }`), 101);
    }
    for (const first of [0, -7]) {
      assert.equal(cost(`{ products(first: ${first}) { nextCursor } }`), 2);
    }
    assert.equal(cost("{ orders(first: 2) { items { lines { quantity } } } }"), 1 + 2 * (1 + 11));
    assert.equal(cost("{ nothing { of { this } } ...Missing }"), 3);
  });

  it("that asks for all there is of a whole page is within the limits", () => {
    const money = "{ amountMinor currency }";
    const product = `id name price exactPrice ${money} unitsAvailable imageUrl categories { id name }`;
    const order = `id status reason lines { productId quantity unitPrice ${money} } total ${money}
      refunded ${money} setAsideReason createdAt`;
    const text = `query ($first: Int) {
      hello me { id email role createdAt } categories { id name description }
      products(first: $first) { items { ${product} } nextCursor }
      orders(first: 50) { items { ${order} } nextCursor }
      cart { userId items { productId quantity imageUrl price exactPrice ${money} name }
        lines { productId quantity product { ${product} } } } }`;
    assert.equal(exceeded(text), undefined);
    assert.equal(exceeded(`{ orders(first: 100) { items { ${order} } nextCursor } }`), undefined);
  });

  it("may ask for the schema only where it is shown", () => {
    const shown = { ...rules, introspection: true };
    const introspection = getIntrospectionQuery({ inputValueDeprecation: true, oneOf: true });
    for (const text of [
      introspection,
      '{ __type(name: "Order") { name } }',
      "{ hello ... { a: __schema { types { name } } } }",
      "query A { hello } query B { __schema { queryType { name } } }",
      "query A { hello } fragment F on Query { __schema { queryType { name } } }",
    ]) {
      assert.throws(
        () => judge(text, rules),
        (error) => isFailure(error, "INTROSPECTION_OFF"),
      );
      assert.doesNotThrow(() => judge(text, shown));
    }
    assert.doesNotThrow(() => judge("{ __typename me { __typename } }", rules));
  });
});
