import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import {
  type Answer,
  type Asked,
  addToCart,
  ask,
  newPerson,
  newProduct,
  type Person,
  type Shop,
  send,
  startShop,
  untilLogged,
} from "./fixture.js";

interface Refusal {
  status?: number;
  code: string;
  reason: string;
  /** What the message or the metadata must name. */
  names?: string;
}

const UNKNOWN_ID = 2_147_483_647;
/** The first is interpreted, the second compiles, the third is compiled. */
const TIMES = 3;

describe("bad input", () => {
  let shop: Shop;
  let ana: Person;
  let productId: number;
  let untouched: Record<string, string>;
  const refusedUnheard: string[] = [];

  before(async () => {
    shop = await startShop();
    ana = await newPerson(shop.url);
    productId = await newProduct(shop.url, ana);
    await addToCart(shop.url, ana, productId, 2);
    untouched = await shop.contents();
  });
  after(() => shop.stop());

  function check({ status, headers, errors }: Answer, refusal: Refusal): void {
    const { code, reason, names = "" } = refusal;
    const [error] = errors;
    assert.ok(error, `status ${status} without an error`);
    assert.deepEqual(
      { status, code: error.extensions.code, reason: error.extensions.reason },
      { status: refusal.status ?? 200, code, reason },
      error.message,
    );
    assert.match(error.extensions.traceId, /^[0-9a-f]{32}$/);
    assert.equal(headers.get("x-trace-id"), error.extensions.traceId);
    const { metadata = {} } = error.extensions;
    assert.ok(`${error.message} ${JSON.stringify(metadata)}`.includes(names), error.message);
    assert.doesNotMatch(JSON.stringify(errors), /\bat .*\.js:\d/, "a stack");
  }

  async function refused(refusal: Refusal, query: string, asked: Asked = {}): Promise<Answer> {
    let answer: Answer | undefined;
    for (let time = 0; time < TIMES; time++) {
      answer = await ask(shop.url, query, { headers: ana.headers, ...asked });
      check(answer, refusal);
    }
    return answer as Answer;
  }

  /** Refused before any service hears of it. */
  async function refusedHere(refusal: Refusal, query: string, asked?: Asked): Promise<void> {
    const { errors } = await refused(refusal, query, asked);
    refusedUnheard.push(errors[0]?.extensions.traceId as string);
  }

  async function refusedRequest(refusal: Refusal, init: RequestInit, search = ""): Promise<void> {
    for (let time = 0; time < TIMES; time++) {
      const answer = await send(`${shop.url}${search}`, init);
      check(answer, refusal);
      refusedUnheard.push(answer.errors[0]?.extensions.traceId as string);
    }
  }

  const invalid = (reason: string, names: string): Refusal => ({
    code: "INVALID_ARGUMENT",
    reason,
    names,
  });
  const ungraphical = (names: string): Refusal => ({
    status: 400,
    ...invalid("GRAPHQL_INVALID", names),
  });
  const unfit = (names = ""): Refusal => ({ status: 400, ...invalid("REQUEST_INVALID", names) });

  const PRODUCT = "query ($id: Float!) { product(id: $id) { id } }";
  const ORDER = "query ($id: Float!) { orderStatus(orderId: $id) { value } }";
  const REMOVE = "mutation ($id: Float!) { removeItem(productId: $id) }";
  const ADD = "mutation ($input: CartItemInput!) { addToCart(input: $input) }";
  const UPDATE = "mutation ($input: UpdateItemInput!) { updateItemQuantity(input: $input) }";
  const CREATE = "mutation ($input: CreateProductInput!) { createProduct(input: $input) { id } }";
  const CATEGORY =
    "mutation ($input: CreateCategoryInput!) { createCategory(input: $input) { id } }";
  const REGISTER = "mutation ($input: RegisterUserInput!) { registerUser(input: $input) }";
  const LOGIN = "mutation ($input: AuthLoginInput!) { login(input: $input) }";

  for (const id of [0, -1, 1.5, 2 ** 31, 2 ** 53, 1e308, -0.5]) {
    it(`an id of ${id} is refused without a call to any service`, async () => {
      const variables = { id };
      await refusedHere(invalid("ID_INVALID", "id"), PRODUCT, { variables });
      await refusedHere(invalid("ID_INVALID", "orderId"), ORDER, { variables });
      await refusedHere(invalid("ID_INVALID", "productId"), REMOVE, { variables });
      await refusedHere(invalid("ID_INVALID", "id"), `{ product(id: ${id}) { id } }`);
    });
  }

  for (const id of [0, -1]) {
    it(`a whole id of ${id} is refused in every input`, async () => {
      const add = { variables: { input: { productId: id, quantity: 1 } } };
      await refusedHere(invalid("ID_INVALID", "productId"), ADD, add);
      const update = { variables: { input: { productId: id, newQuantity: 1 } } };
      await refusedHere(invalid("ID_INVALID", "productId"), UPDATE, update);
      const list = `{ products(categoryId: ${id}) { nextCursor } }`;
      await refusedHere(invalid("ID_INVALID", "categoryId"), list);
      const create = { variables: { input: product({ categoriesIds: [id] }) } };
      await refused(invalid("ID_INVALID", "categoriesIds"), CREATE, create);
    });
  }

  it("an id that nobody has is NOT_FOUND, in queries and in every mutation", async () => {
    const missing = (reason: string): Refusal => ({ code: "NOT_FOUND", reason });
    const variables = { id: UNKNOWN_ID };
    await refused(missing("PRODUCT_NOT_FOUND"), PRODUCT, { variables });
    await refused(missing("ORDER_NOT_FOUND"), ORDER, { variables });
    await refused(missing("CART_LINE_NOT_FOUND"), REMOVE, { variables });
    const add = { variables: { input: { productId: UNKNOWN_ID, quantity: 1 } } };
    await refused({ ...missing("PRODUCT_NOT_FOUND"), names: String(UNKNOWN_ID) }, ADD, add);
    const update = { variables: { input: { productId: UNKNOWN_ID, newQuantity: 1 } } };
    await refused(missing("CART_LINE_NOT_FOUND"), UPDATE, update);
    const create = { variables: { input: product({ categoriesIds: [UNKNOWN_ID] }) } };
    await refused({ ...missing("CATEGORY_NOT_FOUND"), names: "categoriesIds" }, CREATE, create);
  });

  for (const quantity of [0, -1, 1_000, 2_147_483_647]) {
    it(`a quantity of ${quantity} is refused`, async () => {
      const add = { variables: { input: { productId, quantity } } };
      await refused(invalid("QUANTITY_INVALID", "quantity"), ADD, add);
      const update = { variables: { input: { productId, newQuantity: quantity } } };
      await refused(invalid("QUANTITY_INVALID", "newQuantity"), UPDATE, update);
    });
  }

  it("a quantity that adds up to more than a cart takes is refused", async () => {
    const refusal: Refusal = { code: "FAILED_PRECONDITION", reason: "QUANTITY_LIMIT" };
    await refused(refusal, ADD, { variables: { input: { productId, quantity: 998 } } });
  });

  for (const price of [-1, -0.01, 19.999, 0.001, 1e-7, 1e21, 21_474_836.48]) {
    it(`a price of ${price} is refused`, async () => {
      const create = { variables: { input: product({ price }) } };
      await refused(invalid("PRICE_INVALID", "price"), CREATE, create);
    });
  }

  it("products and categories that are not well described are refused", async () => {
    const bad = async (reason: string, field: string, other: object) =>
      refused(invalid(reason, field), CREATE, { variables: { input: product(other) } });
    await bad("NAME_INVALID", "name", { name: "" });
    await bad("NAME_INVALID", "name", { name: " \t " });
    await bad("NAME_INVALID", "name", { name: "a\u0000b" });
    await bad("NAME_INVALID", "name", { name: "a".repeat(201) });
    await bad("IMAGE_URL_INVALID", "imageUrl", { imageUrl: "javascript:alert(1)" });
    await bad("UNITS_INVALID", "unitsAvailable", { unitsAvailable: -1 });
    await bad("CATEGORIES_INVALID", "categoriesIds", { categoriesIds: [1, 1] });
    const category = (name: string, description = "") => ({
      variables: { input: { name, description } },
    });
    await refused(invalid("NAME_INVALID", "name"), CATEGORY, category(""));
    await refused(invalid("NAME_INVALID", "name"), CATEGORY, category("a".repeat(101)));
    const long = category("Lamps", "a".repeat(1_001));
    await refused(invalid("DESCRIPTION_INVALID", "description"), CATEGORY, long);
  });

  it("a user with a malformed e-mail, a taken one or a bad password is refused", async () => {
    const bad = async (refusal: Refusal, input: { email: string; password: string }) =>
      refused(refusal, REGISTER, { variables: { input } });
    const email = `${randomUUID()}@example.com`;
    const password = "a good enough password";
    for (const malformed of ["", "ana", "ana@", "@example.com", "a b@example.com"]) {
      await bad(invalid("EMAIL_INVALID", "email"), { email: malformed, password });
    }
    await bad(invalid("EMAIL_INVALID", "email"), { email: `${"a".repeat(90_000)}@b.ro`, password });
    await bad(invalid("PASSWORD_WEAK", "password"), { email, password: "short" });
    await bad(invalid("PASSWORD_WEAK", "password"), { email, password: "password123" });
    const long = { email, password: "p".repeat(10_000) };
    await bad(invalid("PASSWORD_TOO_LONG", "password"), long);
    const taken: Refusal = { code: "ALREADY_EXISTS", reason: "EMAIL_TAKEN" };
    await bad(taken, { email: ana.email.toUpperCase(), password });
    const stranger: Refusal = { code: "UNAUTHENTICATED", reason: "WRONG_CREDENTIALS" };
    for (const input of [long, { email: ana.email, password }, { email, password }]) {
      await refused(stranger, LOGIN, { variables: { input } });
    }
  });

  it("pages and order wishes that cannot be are refused", async () => {
    for (const first of [0, -1, 101]) {
      await refusedHere(
        invalid("PAGE_INVALID", "first"),
        `{ orders(first: ${first}) { nextCursor } }`,
      );
    }
    await refused(invalid("PAGE_INVALID", "after"), `{ products(after: "%") { nextCursor } }`);
    const total = (value: number) =>
      `mutation { initOrder(expectedTotalMinor: ${value}) { orderId } }`;
    const refusal = invalid("EXPECTED_TOTAL_INVALID", "expectedTotalMinor");
    await refusedHere(refusal, total(1.5));
    await refusedHere(refusal, total(1e300));
    const refund = (amountMinor: number) =>
      `mutation { refundOrder(input: { orderId: 1, amountMinor: ${amountMinor}, refundKey: "k" }) { id } }`;
    for (const amount of [0, -1, 1.5]) {
      await refusedHere(invalid("AMOUNT_INVALID", "amountMinor"), refund(amount));
    }
    await refused(refusal, total(-1));
    const method = 'mutation { initOrder(paymentMethod: "4111 1111") { orderId } }';
    await refused(invalid("PAYMENT_METHOD_INVALID", "paymentMethod"), method);
    const key = { headers: { ...ana.headers, "idempotency-key": "a b" } };
    const place = "mutation { initOrder { orderId } }";
    const keyInvalid = invalid("IDEMPOTENCY_KEY_INVALID", "idempotencyKey");
    await refused(keyInvalid, place, key);
    await refusedHere(keyInvalid, place, { headers: { ...ana.headers, "idempotency-key": "" } });
    await refusedHere(keyInvalid, 'mutation { initOrder(idempotencyKey: "") { orderId } }');
  });

  it("documents and variables that do not fit the schema are refused, and name what is wrong", async () => {
    await refusedHere(ungraphical("nothing"), "{ nothing }");
    await refusedHere(ungraphical("size"), `{ product(id: 1) { id size } }`);
    await refusedHere(ungraphical("colour"), `{ product(id: 1, colour: "red") { id } }`);
    await refusedHere(ungraphical("Syntax Error"), "{ hello");
    await refusedHere(ungraphical("Syntax Error"), "");
    await refusedHere(ungraphical("Syntax Error"), JSON.stringify({ kind: "Document" }));
    const large = { status: 400, ...invalid("DOCUMENT_TOO_LARGE", "tokens") };
    await refusedHere(large, `{${" hello".repeat(2_000)}}`);
    await refusedHere(large, "{a".repeat(5_000));
    for (const id of ["1", true, [1], { id: 1 }, null, undefined]) {
      await refusedHere(ungraphical("$id"), PRODUCT, { variables: { id } });
    }
    const input = { productId, quantity: 1 };
    for (const [names, other] of [
      ["quantity", { quantity: 1.5 }],
      ["quantity", { quantity: "1" }],
      ["quantity", { quantity: 2 ** 31 }],
      ["productId", { productId: 1.5 }],
      ["size", { size: 1 }],
      ["quantity", { quantity: undefined }],
    ] as const) {
      await refusedHere(ungraphical(names), ADD, { variables: { input: { ...input, ...other } } });
    }
    await refusedHere(ungraphical("Float"), `{ product(id: "1") { id } }`);
    const price = { variables: { input: product({ price: "19.99" }) } };
    await refusedHere(ungraphical("price"), CREATE, price);
  });

  it("a required argument that a variable makes null is the client's mistake", async () => {
    const query = "query ($id: Float = 1) { product(id: $id) { id } }";
    await refusedHere(invalid("GRAPHQL_INVALID", '"id"'), query, { variables: { id: null } });
  });

  it("names that mean something to JavaScript are names like others", async () => {
    const headers = { "content-type": "application/json" };
    const named = '{ "query": "query ($__proto__: Float!) { product(id: $__proto__) { id } }" }';
    await refusedRequest(ungraphical("$__proto__"), { method: "POST", headers, body: named });
    const poisoned = '{ "query": "{ hello }", "variables": { "__proto__": { "a": 1 } } }';
    await refusedRequest(unfit(), { method: "POST", headers, body: poisoned });
    const unknown = { operationName: "__proto__" };
    await refusedHere(ungraphical("__proto__"), "query constructor { hello }", unknown);
    const { data } = await ask(shop.url, "query constructor { constructor: hello }", {
      operationName: "constructor",
    });
    assert.deepEqual(data, { constructor: "Hello from piata." });
  });

  it("requests that are not one JSON object with a query are refused", async () => {
    const headers = { "content-type": "application/json" };
    const post = (body?: string) =>
      refusedRequest(unfit(), { method: "POST", headers, ...(body && { body }) });
    await post();
    await post("{");
    await post("null");
    await post('"{ hello }"');
    await post("{}");
    const batch = '[{ "query": "{ hello }" }, { "query": "{ hello }" }]';
    const refusal = { status: 400, ...invalid("BATCH_TOO_LARGE", "one operation") };
    await refusedRequest(refusal, { method: "POST", headers, body: batch });
    await post('{ "query": ["{ hello }"] }');
    await post('{ "query": "{ hello }", "variables": [] }');
    await post('{ "query": "{ hello }", "variables": "{}" }');
    await post('{ "query": "{ hello }", "operationName": 1 }');
    await post('{ "query": "{ hello }", "operationName": "a b" }');
    await refusedRequest(unfit(), { method: "POST" });
    for (const search of [
      "",
      "?query={hello}&query={hello}",
      "?query={hello}&variables={",
      "?query={hello}&variables=[]",
      "?query={hello}&operationName=a&operationName=b",
    ]) {
      await refusedRequest(unfit(), {}, search);
    }
  });

  it("a body of more than 100 kB is refused", async () => {
    const body = JSON.stringify({ query: "{ hello }", variables: { x: "a".repeat(100_000) } });
    const refusal = { ...invalid("BODY_TOO_LARGE", ""), status: 413 };
    const headers = { "content-type": "application/json" };
    await refusedRequest(refusal, { method: "POST", headers, body });
    const fits = JSON.stringify({ query: "{ hello }", variables: { x: "a".repeat(99_900) } });
    assert.deepEqual((await send(shop.url, { method: "POST", headers, body: fits })).errors, []);
  });

  it("what a form or a page of another site could send is refused", async () => {
    const query = "mutation { clearCart }";
    const refusal = { ...invalid("CONTENT_TYPE_INVALID", "application/json"), status: 415 };
    const form = new FormData();
    form.set("query", query);
    for (const body of [
      new URLSearchParams({ query }),
      form,
      JSON.stringify({ query }),
      new Blob([JSON.stringify({ query })]),
      new Blob([JSON.stringify({ query })], { type: "text/plain; application/json" }),
    ]) {
      await refusedRequest(refusal, { method: "POST", headers: ana.headers, body });
    }
  });

  it("a mutation by GET or HEAD is refused, however it is written", async () => {
    const refusal = { ...invalid("MUTATION_BY_GET", "POST"), status: 405 };
    const get = (asked: Record<string, string>) =>
      refusedRequest(refusal, { headers: ana.headers }, `?${new URLSearchParams(asked)}`);
    await get({ query: "mutation { clearCart }" });
    await get({ query: "#\nmutation M { clearCart }", operationName: "M" });
    await get({ query: "query Q { hello } mutation M { clearCart }", operationName: "M" });
    await get({ query: "fragment F on Mutation { clearCart } mutation { ...F }" });
    const head = await fetch(
      `${shop.url}?${new URLSearchParams({ query: "mutation { clearCart }" })}`,
      {
        method: "HEAD",
        headers: ana.headers,
      },
    );
    assert.equal(head.status, 405);
    const ambiguous = "query Q { hello } mutation M { clearCart }";
    const search = (asked: Record<string, string>) => `?${new URLSearchParams(asked)}`;
    const named = { query: ambiguous, operationName: "X" };
    await refusedRequest(ungraphical("X"), {}, search(named));
    await refusedRequest(ungraphical("operation"), {}, search({ query: ambiguous }));
  });

  it("an operation that was compiled is never run in place of the one that is named", async () => {
    const query = "query Q { hello } mutation M { removeItem(productId: 0) }";
    await refused(invalid("ID_INVALID", "productId"), query, { operationName: "M" });
    const search = new URLSearchParams({ query, operationName: "Q" });
    const answer = await send(`${shop.url}?${search}`, { headers: ana.headers });
    assert.deepEqual(answer.data, { hello: "Hello from piata." });
  });

  it("tokens that are missing, forged or malformed are refused", async () => {
    const refusal = (reason: string): Refusal => ({ code: "UNAUTHENTICATED", reason });
    const me = "{ me { id } }";
    await refusedHere(refusal("SIGN_IN_REQUIRED"), me, { headers: {} });
    const [head = "", claims = "", signature = ""] = ana.token.split(".");
    const unsigned = Buffer.from('{"alg":"none","typ":"JWT"}').toString("base64url");
    for (const token of [
      "x",
      "a.b.c",
      `${head}.${claims}.${[...signature].reverse().join("")}`,
      `${unsigned}.${claims}.`,
      ana.refreshToken,
      "x".repeat(5_000),
    ]) {
      await refused(refusal("TOKEN_INVALID"), me, {
        headers: { authorization: `Bearer ${token}` },
      });
    }
    const basic = { headers: { authorization: "Basic YTpi" } };
    await refused(refusal("TOKEN_INVALID"), me, basic);
    await refused(refusal("SIGN_IN_REQUIRED"), "mutation { refresh }", { headers: {} });
    await refused(refusal("TOKEN_INVALID"), 'mutation { refresh(token: "x") }', { headers: {} });
  });

  it("every private operation asks to sign in", async () => {
    const input = (fields: string) => `(input: { ${fields} })`;
    for (const operation of [
      "{ cart { userId } }",
      "{ me { id } }",
      "{ orders { nextCursor } }",
      "{ orderStatus(orderId: 1) { value } }",
      `mutation { addToCart${input("productId: 1, quantity: 1")} }`,
      `mutation { updateItemQuantity${input("productId: 1, newQuantity: 1")} }`,
      "mutation { removeItem(productId: 1) }",
      "mutation { clearCart }",
      "mutation { initOrder { orderId } }",
      "mutation { deleteMe }",
      `mutation { createCategory${input('name: "a", description: ""')} { id } }`,
      `mutation { createProduct${input('name: "a", price: 1, unitsAvailable: 1, categoriesIds: []')} { id } }`,
    ]) {
      const refusal: Refusal = { code: "UNAUTHENTICATED", reason: "SIGN_IN_REQUIRED" };
      await refusedHere(refusal, operation, { headers: {} });
    }
  });

  it("paths that are not there are refused alike", async () => {
    const origin = new URL(shop.url).origin;
    for (const path of ["/nothing", "/images/../package.json", "/graphql/x"]) {
      check(await send(`${origin}${path}`), {
        status: 404,
        ...invalid("PATH_UNKNOWN", "/graphql"),
      });
    }
    check(await send(shop.url, { method: "PUT" }), { status: 404, ...invalid("PATH_UNKNOWN", "") });
    check(await send(`${origin}/%zz`), unfit());
  });

  it("nothing of all this changed anything or was heard where it should not", async () => {
    assert.deepEqual(await shop.contents(), untouched);
    const last = await ask(
      shop.url,
      "{ products { nextCursor } me { id } cart { userId } orders { nextCursor } }",
      { headers: ana.headers },
    );
    const { gateway, payment, ...heard } = shop.programs;
    const traceId = last.headers.get("x-trace-id") as string;
    await Promise.all(Object.values(heard).map((program) => untilLogged(program, traceId)));
    assert.ok(refusedUnheard.length > 100);
    for (const program of Object.values(heard)) {
      const output = program.output();
      assert.deepEqual(
        refusedUnheard.filter((id) => output.includes(id)),
        [],
      );
    }
    assert.doesNotMatch(gateway.output(), /bug|"code":"INTERNAL"/);
    assert.doesNotMatch(payment.output(), /"rpc"/);
  });
});

const product = (other: object) => ({
  name: "Lamp",
  price: 19.99,
  unitsAvailable: 1,
  categoriesIds: [],
  ...other,
});
