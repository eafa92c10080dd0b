import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { after, before, describe, it } from "node:test";
import {
  type Answer,
  addToCart,
  ask,
  newPerson,
  newProduct,
  type Person,
  placeOrder,
  type Shop,
  startShop,
} from "./fixture.js";

const CREATE = "mutation ($input: CreateProductInput!) { createProduct(input: $input) { id } }";

const reasonOf = ({ errors }: Answer): string | undefined => errors[0]?.extensions.reason;

describe("values that are hostile further in", () => {
  let shop: Shop;
  let ana: Person;
  let productId: number;

  before(async () => {
    shop = await startShop();
    ana = await newPerson(shop.url);
    productId = await newProduct(shop.url, ana);
    await addToCart(shop.url, ana, productId, 2);
  });
  after(() => shop.stop());

  const asAna = (query: string, variables: object = {}, headers: Record<string, string> = {}) =>
    ask(shop.url, query, { variables, headers: { ...ana.headers, ...headers } });
  const cart = async () => (await asAna("{ cart { lines { productId quantity } } }")).data.cart;

  it("operators and paths of MongoDB are no ids, no quantities and no fields of an input", async () => {
    const hostile = [
      { $gt: 0 },
      { $ne: null },
      { $where: "sleep(1000)" },
      { "a.b": 1 },
      JSON.parse('{ "__proto__": { "quantity": 1 } }'),
      ["1"],
      "$where",
      "1.checkouts",
      "__proto__",
    ];
    const asked: [string, (value: unknown) => object][] = [
      ["query ($id: Float!) { product(id: $id) { id } }", (id) => ({ id })],
      ["query ($id: Float!) { orderStatus(orderId: $id) { value } }", (id) => ({ id })],
      ["mutation ($id: Float!) { removeItem(productId: $id) }", (id) => ({ id })],
      ...["quantity", "productId"].map((field): [string, (value: unknown) => object] => [
        "mutation ($input: CartItemInput!) { addToCart(input: $input) }",
        (value) => ({ input: { productId, quantity: 1, [field]: value } }),
      ]),
      ...["$inc", "$set", "lines.1", "__proto__"].map(
        (name): [string, (value: unknown) => object] => [
          "mutation ($input: UpdateItemInput!) { updateItemQuantity(input: $input) }",
          (value) => ({
            // Not as a literal, which would set the prototype and send nothing.
            input: Object.defineProperty({ productId, quantity: 5 }, name, {
              value,
              enumerable: true,
            }),
          }),
        ],
      ),
    ];
    for (const [query, variablesOf] of asked) {
      for (const value of hostile) {
        const variables = variablesOf(value);
        const sent = JSON.stringify(variables);
        // The body itself is refused, whatever the query.
        const reason = sent.includes('"__proto__":') ? "REQUEST_INVALID" : "GRAPHQL_INVALID";
        assert.equal(reasonOf(await asAna(query, variables)), reason, `${query} ${sent}`);
      }
    }
    assert.deepEqual(await cart(), { lines: [{ productId, quantity: 2 }] });
    console.log(`${asked.length * hostile.length} values that are operators, paths and prototypes`);
  });

  it("what pays and the key of an order are text of few characters, and nothing else", async () => {
    const place =
      "mutation ($how: String, $key: String) { initOrder(paymentMethod: $how, idempotencyKey: $key) { orderId } }";
    const objects = [{ $gt: "" }, { $ne: null }, ["success"], 1, true];
    for (const value of objects) {
      assert.equal(reasonOf(await asAna(place, { how: value })), "GRAPHQL_INVALID");
      assert.equal(reasonOf(await asAna(place, { key: value })), "GRAPHQL_INVALID");
    }
    for (const how of ["$where", '{"$gt":""}', "a.b", "'; --", "a\0b", "a".repeat(65)]) {
      assert.equal(reasonOf(await asAna(place, { how })), "PAYMENT_METHOD_INVALID");
    }
    for (const key of ["", "a\0b", "a b", "é", "a".repeat(101)]) {
      assert.equal(reasonOf(await asAna(place, { key })), "IDEMPOTENCY_KEY_INVALID");
    }
    // No more than a text that is compared: it reads nobody's key.
    const bob = await newPerson(shop.url);
    const product = await newProduct(shop.url, bob);
    await addToCart(shop.url, bob, product);
    const orderId = await placeOrder(shop.url, bob, { variables: { key: "bobs" } });
    for (const key of ["$ne", '{"$ne":null}', "__proto__", "%", "'or'1'='1"]) {
      const answer = await asAna(
        'mutation { initOrder(paymentMethod: "?") { orderId } }',
        {},
        {
          "idempotency-key": key,
        },
      );
      assert.equal(reasonOf(answer), "PAYMENT_METHOD_INVALID");
    }
    assert.equal(await placeOrder(shop.url, bob, { variables: { key: "bobs" } }), orderId);
  });

  describe("the address of a picture", () => {
    let server: Server;
    let port: number;
    let connections = 0;

    before(async () => {
      server = createServer((socket) => {
        connections += 1;
        socket.destroy();
      });
      // Both families where there are both.
      server.listen({ port: 0, host: "::" });
      await once(server, "listening").catch(async () => {
        server.listen({ port: 0, host: "127.0.0.1" });
        await once(server, "listening");
      });
      port = (server.address() as AddressInfo).port;
    });
    after(() => server.close());

    it("is refused unless it is one of the web, or a path of the shop's own", async () => {
      const refused = [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:image/svg+xml,<svg onload=alert(1)>",
        "vbscript:x",
        "ftp://127.0.0.1/a.png",
        "gopher://127.0.0.1/",
        "blob:http://127.0.0.1/a",
        `//127.0.0.1:${port}/a.png`,
        `/\\127.0.0.1:${port}/a.png`,
        `\\\\127.0.0.1\\a.png`,
        `http:\\\\127.0.0.1:${port}/a.png`,
        `http:/127.0.0.1:${port}/a.png`,
        `http://ana@127.0.0.1:${port}/a.png`,
        `http://ana:secret@[::1]:${port}/a.png`,
        "http://[::1",
        "http://[::1%25eth0]/",
        "http://127.0.0.1:99999/",
        "http://",
        " http://example.com/",
        "http://example.com/\r\nSet-Cookie: a=b",
        "http://example.com/\0",
        "a.png",
        "../a.png",
        "$where",
      ];
      for (const imageUrl of refused) {
        const input = { name: "Lamp", price: 1, unitsAvailable: 1, categoriesIds: [], imageUrl };
        const answer = await asAna(CREATE, { input });
        assert.equal(reasonOf(answer), "IMAGE_URL_INVALID", JSON.stringify(imageUrl));
      }
      console.log(`${refused.length} addresses of pictures that are none`);
    });

    it("is handed on as it came, and nobody here ever connects to it", async () => {
      const kept = [
        `http://127.0.0.1:${port}/a.png`,
        `http://localhost:${port}/a.png`,
        `http://[::1]:${port}/a.png`,
        `http://[::ffff:127.0.0.1]:${port}/a.png`,
        `http://2130706433:${port}/a.png`,
        `http://0x7f.1:${port}/a.png`,
        `http://0:${port}/a.png`,
        `https://127.0.0.1:${port}/a.png?next=http://127.0.0.1:${port}/`,
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/latest/meta-data/",
        "/images/a.svg",
      ];
      const eva = await newPerson(shop.url);
      const ids: number[] = [];
      for (const imageUrl of kept) {
        const id = await newProduct(shop.url, eva, { imageUrl });
        ids.push(id);
        await addToCart(shop.url, eva, id);
      }
      const shown = "cart { items { imageUrl } lines { product { imageUrl } } }";
      for (const query of [
        `{ ${shown} }`,
        `{ again: ${shown} products(first: 100) { items { imageUrl } } }`,
      ]) {
        const { data, errors } = await ask(shop.url, query, { headers: eva.headers });
        assert.deepEqual(errors, []);
        const { items, lines } = data.cart ?? data.again;
        const ofLines = lines.map((line: { product: object }) => line.product);
        assert.deepEqual(
          items,
          kept.map((imageUrl) => ({ imageUrl })),
        );
        assert.deepEqual(ofLines, items);
      }
      for (const [index, id] of ids.entries()) {
        const query = "query ($id: Float!) { product(id: $id) { imageUrl } }";
        const { data } = await ask(shop.url, query, { variables: { id } });
        assert.equal(data.product.imageUrl, kept[index]);
      }
      await placeOrder(shop.url, eva);
      const { data } = await ask(shop.url, "{ orders { items { lines { productId } } } }", {
        headers: eva.headers,
      });
      assert.equal(data.orders.items[0].lines.length, kept.length);
      assert.equal(connections, 0);
      console.log(`${kept.length} addresses of pictures, ${connections} connections`);
    });
  });
});
