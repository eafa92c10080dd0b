import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { until } from "@piata/testkit/until";
import {
  type Answer,
  addToCart,
  ask,
  bearer,
  newPerson,
  newProduct,
  type Person,
  placeOrder,
  type Shop,
  send,
  signIn,
  startShop,
  untilLogged,
} from "./fixture.js";

const LOGIN = "mutation ($input: AuthLoginInput!) { login(input: $input) }";
const ME = "{ me { id email role } }";
const CART = `{ cart { userId
  items { productId quantity price exactPrice { amountMinor currency } imageUrl name }
  lines { productId quantity product { id } } } }`;

describe("the gateway", () => {
  let shop: Shop;
  let ana: Person;
  /** What no program may log. */
  const secrets: string[] = [];

  before(async () => {
    shop = await startShop({ GATEWAY_GRAPHIQL: "on" });
    ana = await person();
  });
  after(() => shop.stop());

  async function person(): Promise<Person> {
    const one = await newPerson(shop.url);
    secrets.push(one.email, one.password, one.token, one.refreshToken);
    return one;
  }

  /** Signs in as a browser does. */
  async function login({ email, password }: Person) {
    const answer = await ask(shop.url, LOGIN, { variables: { input: { email, password } } });
    const jar = cookiesOf(answer);
    const [access, refresh] = [jar.access_token?.value, jar.refresh_token?.value];
    assert.ok(access && refresh, "two cookies");
    secrets.push(access, refresh);
    const headers = { cookie: `access_token=${access}; refresh_token=${refresh}` };
    return { answer, jar, access, refresh, headers };
  }

  const reasonOf = ({ errors }: Answer) => errors[0]?.extensions.reason;
  const me = async (headers: Record<string, string>) => ask(shop.url, ME, { headers });

  it("answers a query by POST and by GET, and greets", async () => {
    const hello = { hello: "Hello from piata." };
    const posted = await ask(shop.url, "{ hello }");
    assert.deepEqual([posted.status, posted.data], [200, hello]);
    const got = await send(`${shop.url}?query={hello}`);
    assert.deepEqual([got.status, got.data], [200, hello]);
    assert.equal(got.headers.get("cache-control"), "no-store");
    const variables = new URLSearchParams({
      query: "query Q($id: Float!) { product(id: $id) { id } } query R { hello }",
      variables: '{"id": 0}',
      operationName: "Q",
    });
    assert.equal(reasonOf(await send(`${shop.url}?${variables}`)), "ID_INVALID");
  });

  it("gives every request a trace id that its services log, the caller's when there is one", async () => {
    const { headers } = await ask(shop.url, "{ categories { id } cart { userId } }", {
      headers: ana.headers,
    });
    const traceId = headers.get("x-trace-id") as string;
    for (const program of ["gateway", "cart"] as const) {
      await untilLogged(shop.programs[program], traceId);
    }
    const given = randomBytes(16).toString("hex");
    const traceparent = (id: string) => ({ traceparent: `00-${id}-${"1".repeat(16)}-01` });
    const missing = await ask(shop.url, "{ product(id: 2147483647) { id } }", {
      headers: traceparent(given),
    });
    assert.equal(missing.headers.get("x-trace-id"), given);
    assert.equal(missing.errors[0]?.extensions.traceId, given);
    for (const program of ["gateway", "catalog"] as const) {
      await untilLogged(shop.programs[program], given);
    }
    for (const bad of ["0".repeat(32), "x", given.toUpperCase(), `${given}0`]) {
      const answer = await ask(shop.url, "{ hello }", { headers: traceparent(bad) });
      assert.match(answer.headers.get("x-trace-id") ?? "", /^[0-9a-f]{32}$/);
      assert.notEqual(answer.headers.get("x-trace-id"), bad);
    }
  });

  it("login sets cookies that no script reads and no other site's form sends", async () => {
    const { answer, jar, access } = await login(ana);
    assert.equal(answer.data.login, access);
    for (const [name, seconds] of [
      ["access_token", 600],
      ["refresh_token", 30 * 86_400],
    ] as const) {
      const { httponly, samesite, path, secure, expires = "" } = jar[name]?.attributes ?? {};
      assert.deepEqual(
        { httponly, samesite, path, secure },
        {
          httponly: "",
          samesite: "Lax",
          path: "/",
          secure: undefined,
        },
      );
      const leftSeconds = (Date.parse(expires) - Date.now()) / 1_000;
      assert.ok(Math.abs(leftSeconds - seconds) < 60, `${name} is good for ${leftSeconds} s`);
    }
  });

  it("takes a cookie as well as a bearer token, and the bearer token when there are both", async () => {
    const [other, { headers }] = [await person(), await login(ana)];
    assert.equal((await me(headers)).data.me.email, ana.email);
    assert.equal((await me({ ...headers, ...other.headers })).data.me.email, other.email);
    assert.equal(reasonOf(await me({ ...headers, ...bearer("x") })), "TOKEN_INVALID");
    assert.equal(reasonOf(await me({ ...headers, authorization: "" })), "TOKEN_INVALID");
    const twice = { cookie: `${headers.cookie}; access_token=x; __proto__=y; =; %` };
    assert.equal((await me(twice)).data.me.email, ana.email);
  });

  it("refresh takes the cookie or the argument, and signIn and refreshTokens set no cookies", async () => {
    const { refresh, headers } = await login(ana);
    const byCookie = await ask(shop.url, "mutation { refresh }", { headers });
    const jar = cookiesOf(byCookie);
    assert.equal(jar.access_token?.value, byCookie.data.refresh);
    assert.ok(jar.refresh_token && jar.refresh_token.value !== refresh);
    assert.equal((await me(bearer(byCookie.data.refresh))).data.me.email, ana.email);

    const one = await signIn(shop.url, ana);
    const query =
      "mutation ($token: String!) { refreshTokens(token: $token) { accessToken refreshToken } }";
    const both = await ask(shop.url, query, { variables: { token: one.refreshToken } });
    assert.deepEqual(cookiesOf(both), {});
    const { accessToken, refreshToken } = both.data.refreshTokens;
    assert.equal((await me(bearer(accessToken))).data.me.email, ana.email);
    const argument = "mutation ($token: String) { refresh(token: $token) }";
    const byArgument = await ask(shop.url, argument, { variables: { token: refreshToken } });
    assert.equal((await me(bearer(byArgument.data.refresh))).data.me.email, ana.email);
    secrets.push(one.token, one.refreshToken, accessToken, refreshToken, byArgument.data.refresh);
  });

  it("logout clears the cookies and ends the session for its bearer copy, everywhere", async (t) => {
    const second = await shop.startGateway({});
    t.after(() => second.stop());
    const { access, headers, refresh } = await login(ana);
    const urls = [shop.url, `http://${second.address}/graphql`];
    const byBearer = (url: string) => ask(url, ME, { headers: bearer(access) });
    for (const url of urls) {
      for (let time = 0; time < 2; time++) assert.deepEqual((await byBearer(url)).errors, []);
    }
    const out = await ask(shop.url, "mutation { logout }", { headers });
    assert.deepEqual([out.data.logout, out.errors], ["Signed out.", []]);
    for (const { value, attributes } of Object.values(cookiesOf(out))) {
      assert.equal(value, "");
      assert.equal(Date.parse(attributes.expires ?? ""), 0);
    }
    assert.deepEqual(Object.keys(cookiesOf(out)), ["access_token", "refresh_token"]);
    await Promise.all(
      urls.map((url) =>
        until(async () => reasonOf(await byBearer(url)) === "SESSION_ENDED", { timeoutMs: 1_000 }),
      ),
    );
    const again = `mutation { refresh(token: "${refresh}") }`;
    assert.equal(reasonOf(await ask(shop.url, again)), "SESSION_ENDED");
    assert.deepEqual((await me(ana.headers)).errors, [], "another session of the same user");
    assert.deepEqual((await ask(shop.url, "mutation { logout }")).errors, []);
  });

  it("a user who deletes themselves is gone within a second", async () => {
    const gone = await person();
    assert.deepEqual((await me(gone.headers)).errors, []);
    const answer = await ask(shop.url, "mutation { deleteMe }", { headers: gone.headers });
    assert.equal(answer.data.deleteMe, "Deleted.");
    await until(async () => reasonOf(await me(gone.headers)) === "SESSION_ENDED", {
      timeoutMs: 1_000,
    });
    const { email, password } = gone;
    const login = await ask(shop.url, LOGIN, { variables: { input: { email, password } } });
    assert.equal(reasonOf(login), "WRONG_CREDENTIALS");
  });

  it("a product shows its exact price and an empty image", async () => {
    const id = await newProduct(shop.url, ana, { price: 0.07 });
    const query = `{ product(id: ${id}) { price exactPrice { amountMinor currency } imageUrl categories { id } } }`;
    for (let time = 0; time < 3; time++) {
      const { data } = await ask(shop.url, query);
      const exactPrice = { amountMinor: 7, currency: "EUR" };
      assert.deepEqual(data.product, { price: 0.07, exactPrice, imageUrl: "", categories: [] });
    }
  });

  it("a cart is null until there was one, and rounds its old price field half up", async () => {
    const { headers, ...other } = await person();
    const buyer = { headers, ...other };
    const cart = async () => (await ask(shop.url, CART, { headers })).data.cart;
    for (let time = 0; time < 3; time++) assert.equal(await cart(), null);
    const up = await newProduct(shop.url, ana, { price: 19.5, name: "Up" });
    const down = await newProduct(shop.url, ana, { price: 19.49, name: "Down" });
    await addToCart(shop.url, buyer, up, 2);
    await addToCart(shop.url, buyer, down, 1);
    const item = (productId: number, quantity: number, price: number, amountMinor: number) => ({
      productId,
      quantity,
      price,
      exactPrice: { amountMinor, currency: "EUR" },
      imageUrl: "",
    });
    for (let time = 0; time < 3; time++) {
      assert.deepEqual((await cart()).items, [
        { ...item(up, 2, 20, 1_950), name: "Up" },
        { ...item(down, 1, 19, 1_949), name: "Down" },
      ]);
    }
    await ask(shop.url, "mutation { clearCart }", { headers });
    const { items, lines } = await cart();
    assert.deepEqual({ items, lines }, { items: [], lines: [] });
  });

  it("a line whose product is gone is not among the items, and has no product", async () => {
    const buyer = await person();
    const stays = await newProduct(shop.url, ana);
    const goes = await newProduct(shop.url, ana);
    await addToCart(shop.url, buyer, stays);
    await addToCart(shop.url, buyer, goes, 3);
    for (const table of ["product_categories", "stock"]) {
      await shop.sql("catalog", `delete from ${table} where product_id = $1`, [goes]);
    }
    await shop.sql("catalog", "delete from products where id = $1", [goes]);
    // The gateway is told a moment later.
    await until(async () => {
      const { data } = await ask(shop.url, CART, { headers: buyer.headers });
      return data.cart.lines[1].product === null;
    });
    for (let time = 0; time < 3; time++) {
      const { data, errors } = await ask(shop.url, CART, { headers: buyer.headers });
      assert.deepEqual(errors, []);
      assert.deepEqual(
        data.cart.items.map((item: { productId: number }) => item.productId),
        [stays],
      );
      assert.deepEqual(data.cart.lines, [
        { productId: stays, quantity: 1, product: { id: stays } },
        { productId: goes, quantity: 3, product: null },
      ]);
    }
  });

  it("an order is placed once for a key, given as a header or as an argument, and is its owner's", async () => {
    const [buyer, other] = [await person(), await person()];
    const productId = await newProduct(shop.url, ana, { price: 19.99 });
    await addToCart(shop.url, buyer, productId, 2);
    const headers = { "idempotency-key": "once" };
    const orderId = await placeOrder(shop.url, buyer, { headers });
    assert.equal(await placeOrder(shop.url, buyer, { headers }), orderId);
    assert.equal(await placeOrder(shop.url, buyer, { variables: { key: "once" } }), orderId);
    const variables = { key: "other" };
    const refused = ask(
      shop.url,
      "mutation ($key: String) { initOrder(idempotencyKey: $key) { orderId } }",
      {
        variables,
        // The argument is the nearer one.
        headers: { ...buyer.headers, ...headers },
      },
    );
    assert.equal(reasonOf(await refused), "CART_EMPTY");

    const query = `{ orderStatus(orderId: ${orderId}) { value reason } }`;
    const status = await until(async () => {
      const { data } = await ask(shop.url, query, { headers: buyer.headers });
      return data.orderStatus.value === "PAID" && data.orderStatus;
    });
    assert.deepEqual(status, { value: "PAID", reason: null });
    const fields =
      "items { id status lines { productId quantity unitPrice { amountMinor } } total { amountMinor currency } }";
    const { data } = await ask(shop.url, `{ orders { ${fields} } }`, { headers: buyer.headers });
    const lines = [{ productId, quantity: 2, unitPrice: { amountMinor: 1_999 } }];
    const total = { amountMinor: 3_998, currency: "EUR" };
    assert.deepEqual(data.orders.items, [{ id: orderId, status: "PAID", lines, total }]);
    assert.equal(
      reasonOf(await ask(shop.url, query, { headers: other.headers })),
      "ORDER_NOT_FOUND",
    );
  });

  it("shows GraphiQL to a browser, as one page that loads nothing else", async () => {
    for (const encoding of ["gzip, br", "identity"]) {
      const response = await fetch(shop.url, {
        headers: { accept: "text/html,*/*", "accept-encoding": encoding },
      });
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("content-type"), "text/html; charset=utf-8");
      const html = await response.text();
      assert.match(html, /^\s*<!doctype html>/i);
      assert.match(html, /<\/html>\s*$/);
      // What the page is made of, without the text of its one script and its styles.
      const frame = html.replace(/<style>[\s\S]*?<\/style>/g, (style) => {
        assert.doesNotMatch(style, /@import|url\(\s*["']?(?:https?:)?\/\//);
        return "";
      });
      const head = frame.slice(0, frame.indexOf("<script>"));
      assert.doesNotMatch(head, /\ssrc=|href="(?!data:)/);
      assert.equal(frame.match(/<script[\s>]/)?.[0], "<script>");
      assert.doesNotMatch(html, /(?:unpkg\.com|jsdelivr\.net|cdnjs|googleapis\.com)/);
    }
    const json = await send(`${shop.url}?query={hello}`, {
      headers: { accept: "application/json" },
    });
    assert.deepEqual(json.errors, []);
    const { origin } = new URL(shop.url);
    assert.equal((await fetch(origin, { headers: { accept: "text/html" } })).url, shop.url);
  });

  it("keeps GraphiQL away, sends cookies over TLS only and serves images, when it is told so", async (t) => {
    const imagesDir = await mkdtemp(join(tmpdir(), "piata-images-"));
    await writeFile(join(imagesDir, "lamp.svg"), "<svg/>");
    const gateway = await shop.startGateway({
      GATEWAY_COOKIE_SECURE: "on",
      GATEWAY_IMAGES_DIR: imagesDir,
    });
    t.after(async () => {
      await gateway.stop();
      await rm(imagesDir, { recursive: true });
    });
    const origin = `http://${gateway.address}`;
    const refused = await send(`${origin}/graphql`, { headers: { accept: "text/html" } });
    assert.deepEqual([refused.status, reasonOf(refused)], [400, "REQUEST_INVALID"]);
    const input = { email: ana.email, password: ana.password };
    const jar = cookiesOf(await ask(`${origin}/graphql`, LOGIN, { variables: { input } }));
    assert.deepEqual(Object.keys(jar), ["__Host-access_token", "__Host-refresh_token"]);
    for (const { attributes } of Object.values(jar)) assert.equal(attributes.secure, "");
    const image = await fetch(`${origin}/images/lamp.svg`);
    assert.deepEqual([image.status, await image.text()], [200, "<svg/>"]);
    for (const path of ["/images/none.svg", "/images/", "/images/..%2f..%2fetc%2fpasswd"]) {
      const { status, errors } = await send(`${origin}${path}`);
      assert.ok(status === 404 || status === 403, `${path}: ${status}`);
      assert.equal(errors[0]?.extensions.code, "INVALID_ARGUMENT");
    }
  });

  it("no program logs an e-mail, a password or a token", async () => {
    const { traceId } = (
      await ask(shop.url, "{ nothing }", {
        operationName: "ana",
        headers: { ...ana.headers, "user-agent": ana.email },
      })
    ).errors[0]?.extensions ?? { traceId: "" };
    await untilLogged(shop.programs.gateway, traceId);
    assert.ok(secrets.length > 20);
    for (const [name, program] of Object.entries(shop.programs)) {
      const output = program.output();
      const found = secrets.filter((secret) => output.includes(secret));
      assert.deepEqual(found, [], `in the log of ${name}`);
      for (const line of output.trim().split("\n")) assert.equal(typeof JSON.parse(line), "object");
    }
  });
});

interface Cookie {
  value: string;
  attributes: Record<string, string | undefined>;
}

function cookiesOf({ headers }: Answer): Record<string, Cookie> {
  const cookies = headers.getSetCookie().map((line) => {
    const [[name, value], ...rest] = line.split("; ").map((part) => {
      const [key = "", text = ""] = part.split(/=(.*)/s);
      return [key, text] as const;
    }) as [readonly [string, string], ...(readonly [string, string])[]];
    const attributes = Object.fromEntries(rest.map(([key, text]) => [key.toLowerCase(), text]));
    return [name, { value, attributes }] as const;
  });
  return Object.fromEntries(cookies);
}
