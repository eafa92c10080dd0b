import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { until } from "@piata/testkit/until";
import {
  type Answer,
  addToCart,
  ask,
  newPerson,
  newProduct,
  type Person,
  type Shop,
  startShop,
} from "./fixture.js";

const PRIVATE = "{ orders { nextCursor } }";
const CART = "{ cart { items { productId } } }";
const LINES = "{ cart { lines { productId quantity product { id } } } }";

// The tests are one story: services go away one after the other.
describe("while a service is away", () => {
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

  const asAna = (query: string) => ask(shop.url, query, { headers: ana.headers });
  const codeOf = ({ errors }: Answer) => errors[0]?.extensions.code;
  const publicly = () => ask(shop.url, `{ hello product(id: ${productId}) { id } }`);

  it("the catalog: a cart shows its lines without products, its items not at all, and takes what was seen", async () => {
    shop.programs.catalog.kill();
    await until(async () => codeOf(await publicly()) === "UNAVAILABLE");
    for (let time = 0; time < 3; time++) {
      const items = await asAna(CART);
      assert.deepEqual([codeOf(items), items.data], ["UNAVAILABLE", { cart: null }]);
      const { data, errors } = await asAna(LINES);
      assert.deepEqual(errors, []);
      assert.deepEqual(data.cart.lines, [{ productId, quantity: 2, product: null }]);
    }
    const add = (id: number) =>
      asAna(`mutation { addToCart(input: { productId: ${id}, quantity: 1 }) }`);
    assert.equal(codeOf(await add(productId + 1)), "UNAVAILABLE");
    assert.deepEqual((await add(productId)).errors, []);
    assert.deepEqual((await asAna(LINES)).data.cart.lines[0].quantity, 3);
    assert.deepEqual((await ask(shop.url, "{ hello }")).errors, []);
    await shop.startAgain("catalog");
    await until(async () => (await publicly()).errors.length === 0);
    assert.deepEqual((await asAna(CART)).data.cart.items, [{ productId }]);
  });

  it("access: private operations are refused within about a second, public reads go on", async () => {
    for (let time = 0; time < 3; time++) assert.deepEqual((await asAna(PRIVATE)).errors, []);
    shop.programs.access.kill();
    await until(async () => codeOf(await asAna(PRIVATE)) === "UNAVAILABLE", { timeoutMs: 1_500 });
    for (let time = 0; time < 3; time++) {
      for (const query of [PRIVATE, CART, "{ me { id } }", "mutation { clearCart }"]) {
        const { errors, status } = await asAna(query);
        const { code, reason, metadata } = errors[0]?.extensions ?? {};
        assert.deepEqual(
          { status, code, reason, metadata },
          {
            status: 200,
            code: "UNAVAILABLE",
            reason: "SERVICE_UNREACHABLE",
            metadata: { service: "access" },
          },
        );
      }
      const { data, errors } = await publicly();
      assert.deepEqual([data.product.id, errors], [productId, []]);
    }
    const out = await asAna("mutation { logout }");
    assert.equal(codeOf(out), "UNAVAILABLE", "nobody is told to be signed out who is not");
    assert.deepEqual(out.headers.getSetCookie(), []);
    await shop.startAgain("access");
    await until(async () => (await asAna(PRIVATE)).errors.length === 0);
  });
});
