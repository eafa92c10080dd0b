import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { ConfigError, readConfig } from "@piata/kit/config";
import type { RunningService } from "@piata/testkit/service";
import { buildSchema } from "graphql";
import { limitsOf, settings } from "./config.js";
import { readTrustedDocuments } from "./documents.js";
import { type Answer, ask, send, startGateway, urlOf } from "./fixture.js";

const GREETING = { hello: "Hello from piata." };
const reasonOf = ({ errors }: Answer) => errors[0]?.extensions.reason;
const messageOf = ({ errors }: Answer) => errors.map(({ message }) => message).join(" ");

describe("the schema", () => {
  /** Documents and variables that are nearly right. */
  const NEARLY: [query: string, variables?: object][] = [
    ["{ helo }"],
    ["{ product(ids: 1) { id } }"],
    ["{ me }"],
    ["query ($a: Intt) { hello }"],
    ["fragment F on CartLin { quantity } { hello }"],
    ["mutation { addToCart(input: { productIds: 1, quantity: 1 }) }"],
    [
      "mutation ($input: CartItemInput!) { addToCart(input: $input) }",
      { input: { productId: 1, quantity: 1, quantit: 1 } },
    ],
  ];
  const TIMES = 3;

  async function told(t: TestContext, env: Record<string, string>): Promise<string[]> {
    const gateway = await startGateway(env);
    t.after(() => gateway.stop());
    const messages: string[] = [];
    for (const [query, variables] of NEARLY) {
      // Interpreted, compiled, and as compiled before.
      for (let time = 0; time < TIMES; time++) {
        const answer = await ask(urlOf(gateway), query, variables && { variables });
        assert.equal(reasonOf(answer), "GRAPHQL_INVALID", query);
        messages.push(messageOf(answer));
      }
    }
    const schema = await ask(urlOf(gateway), "{ __schema { queryType { name } } }");
    messages.push(reasonOf(schema) ?? schema.data.__schema.queryType.name);
    const typed = await ask(urlOf(gateway), "{ __typename hello }");
    assert.deepEqual(typed.data, { __typename: "Query", ...GREETING });
    return messages;
  }

  it("is neither shown nor hinted at by default", async (t) => {
    const messages = await told(t, {});
    assert.equal(messages.at(-1), "INTROSPECTION_OFF");
    assert.doesNotMatch(messages.join("\n"), /did you mean/i);
  });

  it("is shown, with hints at what was meant, where that is wanted", async (t) => {
    const messages = await told(t, { GATEWAY_INTROSPECTION: "on" });
    assert.equal(messages.pop(), "Query");
    const hints = messages.filter((message) => message.includes("Did you mean"));
    assert.equal(hints.length, NEARLY.length * TIMES, messages.join("\n"));
  });
});

describe("a gateway with trusted documents", () => {
  const HELLO = "query Hello { hello }";
  const CLEAR = "mutation Clear { clearCart }";
  const PRODUCT = "query ($id: Float!) { product(id: $id) { id } }";
  const hashOf = (text: string) => createHash("sha256").update(text).digest("hex");
  const hash = hashOf(HELLO);
  let folder: string;
  let gateway: RunningService;

  async function manifest(name: string, content: object | string): Promise<string> {
    const file = join(folder, name);
    await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
    return file;
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "piata-documents-"));
    const documents = [HELLO, CLEAR, PRODUCT].map((text) => [hashOf(text), text]);
    const file = await manifest("documents.json", Object.fromEntries(documents));
    gateway = await startGateway({ GATEWAY_TRUSTED_DOCUMENTS_FILE: file });
  });
  after(async () => {
    await gateway.stop();
    await rm(folder, { recursive: true });
  });

  const post = (body: object): Promise<Answer> =>
    send(urlOf(gateway), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const get = (asked: Record<string, string>): Promise<Answer> =>
    send(`${urlOf(gateway)}?${new URLSearchParams(asked)}`);
  const apollo = (sha256Hash: unknown) => ({ persistedQuery: { version: 1, sha256Hash } });

  it("runs them by their hash in either form, by POST and GET, and by their text", async () => {
    for (let time = 0; time < 3; time++) {
      for (const answer of [
        await post({ documentId: `sha256:${hash}` }),
        await post({ documentId: hash, operationName: "Hello" }),
        await post({ extensions: apollo(hash) }),
        await post({ query: null, extensions: apollo(hash) }),
        await post({ query: HELLO, extensions: apollo("whatever") }),
        await get({ documentId: `sha256:${hash}` }),
        await get({ extensions: JSON.stringify(apollo(hash)) }),
        await get({ query: HELLO }),
      ]) {
        assert.deepEqual([answer.status, answer.data], [200, GREETING]);
      }
    }
  });

  it("runs no others", async () => {
    const other = "{ hello }";
    for (const answer of [
      await post({ query: other }),
      await post({ query: `${HELLO} ` }),
      await post({ documentId: `sha256:${hashOf(other)}` }),
      await post({ extensions: apollo(hashOf(other)) }),
      await get({ query: other }),
      await get({ documentId: hashOf(other) }),
      await post({ query: "{ __schema { queryType { name } } }" }),
    ]) {
      assert.deepEqual([answer.status, reasonOf(answer)], [400, "DOCUMENT_UNKNOWN"]);
      assert.match(answer.errors[0]?.extensions.metadata?.sha256 ?? "", /^[0-9a-f]{64}$/);
    }
  });

  it("exempts them from nothing: variables are checked, and mutations are for POST", async () => {
    const documentId = hashOf(PRODUCT);
    assert.equal(reasonOf(await post({ documentId })), "GRAPHQL_INVALID");
    assert.equal(reasonOf(await post({ documentId, variables: { id: 0 } })), "ID_INVALID");
    assert.equal(reasonOf(await post({ documentId, operationName: "X" })), "GRAPHQL_INVALID");
    assert.equal(reasonOf(await post({ documentId: hashOf(CLEAR) })), "SIGN_IN_REQUIRED");
    const byGet = await get({ documentId: hashOf(CLEAR) });
    assert.deepEqual([byGet.status, reasonOf(byGet)], [405, "MUTATION_BY_GET"]);
  });

  it("refuses what is no hash", async () => {
    for (const [field, answer] of [
      ["documentId", await post({ documentId: 1 })],
      ["documentId", await post({ documentId: { toString: 1 } })],
      ["documentId", await post({ documentId: null })],
      ["documentId", await post({ documentId: "sha256:" })],
      ["documentId", await post({ documentId: `md5:${hash}` })],
      ["documentId", await post({ documentId: hash.toUpperCase() })],
      ["extensions", await post({ extensions: apollo("__proto__") })],
      ["extensions", await post({ extensions: apollo(null) })],
      ["query", await post({ extensions: {} })],
      ["query", await post({ extensions: "x" })],
      ["query", await post({ extensions: { persistedQuery: null } })],
      ["extensions", await get({ extensions: "{" })],
    ] as const) {
      assert.deepEqual([answer.status, reasonOf(answer)], [400, "REQUEST_INVALID"]);
      assert.equal(answer.errors[0]?.extensions.metadata?.field, field);
    }
  });

  it("does not start with a list that is wrong, and says all that is", async () => {
    const wrong = {
      [hash]: "{ hello }",
      [hashOf("{ nothing }")]: "{ nothing }",
      [hashOf("{ hello")]: "{ hello",
      [hashOf("{ __schema { queryType { name } } }")]: "{ __schema { queryType { name } } }",
      [hashOf("1")]: 1,
    };
    const cases: [content: object | string, faults: RegExp[]][] = [
      [wrong, [/is not its SHA-256/, /nothing/, /Syntax Error/, /schema is not shown/, /no text/]],
      ["{", [/JSON/]],
      ["[]", [/one JSON object/]],
    ];
    const schema = buildSchema("type Query { hello: String! }");
    const rules = { schema, introspection: false, limits: limitsOf(readConfig(settings, {})) };
    const read = (file: string) => readTrustedDocuments(file, rules);
    const isFault =
      (...faults: RegExp[]) =>
      (error: Error) => {
        for (const fault of faults) assert.match(error.message, fault);
        return error instanceof ConfigError;
      };
    const name = /GATEWAY_TRUSTED_DOCUMENTS_FILE/;
    for (const [content, faults] of cases) {
      const file = await manifest("wrong.json", content);
      await assert.rejects(read(file), isFault(name, ...faults));
    }
    await assert.rejects(read(join(folder, "nothing.json")), isFault(name, /ENOENT/));
    const env = { GATEWAY_TRUSTED_DOCUMENTS_FILE: await manifest("empty.json", "") };
    await assert.rejects(startGateway(env), /ended before it served:\s*gateway: GATEWAY_TRUSTED/);
  });
});

describe("a list of operations", () => {
  const ORDER = "id lines { productId quantity unitPrice { amountMinor currency } }";
  const post = (url: string, body: unknown) =>
    fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const hello = { query: "{ hello }" };

  it("is answered as a list, in order, each operation by itself", async (t) => {
    const gateway = await startGateway({ GATEWAY_BATCH_MAX: "6" });
    t.after(() => gateway.stop());
    const query = "query A { hello } query B { product(id: 0) { id } }";
    const list = [
      { query, operationName: "A" },
      { query: "{ nothing }" },
      { query, operationName: "B" },
      { query: "mutation { clearCart }" },
      [],
      { query: "query ($skip: Boolean!) { hello @skip(if: $skip) }", variables: { skip: true } },
    ];
    for (let time = 0; time < 3; time++) {
      const response = await post(urlOf(gateway), list);
      const answers = (await response.json()) as Partial<Answer>[];
      assert.equal(response.status, 200);
      assert.deepEqual(
        answers.map(({ data, errors }) => errors?.[0]?.extensions.reason ?? data),
        [GREETING, "GRAPHQL_INVALID", "ID_INVALID", "SIGN_IN_REQUIRED", "REQUEST_INVALID", {}],
      );
      const traceIds = answers.flatMap(({ errors = [] }) => errors[0]?.extensions.traceId ?? []);
      assert.deepEqual([...new Set(traceIds)], [response.headers.get("x-trace-id")]);
    }
    const refusals: [list: object[], reason: string][] = [
      [Array.from({ length: 7 }, () => hello), "BATCH_TOO_LARGE"],
      [[], "REQUEST_INVALID"],
      [
        Array.from({ length: 2 }, () => ({
          query: `{ orders(first: 100) { items { ${ORDER} } } }`,
        })),
        "DOCUMENT_TOO_LARGE",
      ],
    ];
    for (const [refused, reason] of refusals) {
      const response = await post(urlOf(gateway), refused);
      const { errors = [] } = (await response.json()) as Partial<Answer>;
      assert.deepEqual([response.status, errors[0]?.extensions.reason], [400, reason]);
    }
  });

  it("is refused by default, however short, and so is a hash", async (t) => {
    const gateway = await startGateway();
    t.after(() => gateway.stop());
    for (const list of [[], [hello], [hello, hello]]) {
      const response = await post(urlOf(gateway), list);
      const { errors = [] } = (await response.json()) as Partial<Answer>;
      assert.deepEqual([response.status, errors[0]?.extensions.reason], [400, "BATCH_TOO_LARGE"]);
    }
    const documentId = createHash("sha256").update(hello.query).digest("hex");
    const answer = await send(`${urlOf(gateway)}?documentId=${documentId}`);
    assert.deepEqual([answer.status, reasonOf(answer)], [400, "DOCUMENT_UNKNOWN"]);
  });
});
