import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { RunningService } from "@piata/testkit/service";
import { exchange, type Got, post, refusedAsForeign } from "./exchange.fixture.js";
import { bearer, newPerson, newProduct, type Person, type Shop, startShop } from "./fixture.js";

const FRONT_END = "https://shop.example";
/** What a proxy says of a request that came to it over TLS. */
const TLS = { "x-forwarded-proto": "https", "x-forwarded-host": "shop.example" };
const ADD = "mutation ($input: CartItemInput!) { addToCart(input: $input) }";
const LOGIN = "mutation ($input: AuthLoginInput!) { login(input: $input) }";
const REGISTER = "mutation ($input: RegisterUserInput!) { registerUser(input: $input) }";

const limits = (perAddress: number, perUser: number, registrations: number) => ({
  GATEWAY_ADDRESS_REQUESTS_PER_MINUTE: String(perAddress),
  GATEWAY_USER_REQUESTS_PER_MINUTE: String(perUser),
  GATEWAY_REGISTRATIONS_PER_HOUR: String(registrations),
});

/** A client of its own, as the proxy names it. */
const from = (client: number) => ({ "x-forwarded-for": `203.0.113.${client}` });

const cookiesOf = ({ headers }: Got): string[] => headers["set-cookie"] ?? [];

let shop: Shop;
/** The shop's, behind a proxy on this machine, whose own requests are not counted. */
let gateway: string;
/** Counts everybody. */
let counting: RunningService;
/** Counts nobody, and believes no proxy. */
let unlimited: RunningService;
let ana: Person;

before(async () => {
  const proxied = { GATEWAY_TRUSTED_PROXIES: "127.0.0.1", GATEWAY_CORS_ORIGINS: FRONT_END };
  const countsAll = { GATEWAY_RATE_LIMIT_EXEMPT: "none" };
  shop = await startShop({ ...proxied, ...limits(1, 1, 1) });
  gateway = new URL(shop.url).host;
  [counting, unlimited, ana] = await Promise.all([
    shop.startGateway({ ...proxied, ...countsAll, ...limits(4, 3, 3) }),
    shop.startGateway({ ...countsAll, ...limits(0, 0, 0) }),
    newPerson(shop.url),
  ]);
});
after(async () => {
  await Promise.all([counting?.stop(), unlimited?.stop()]);
  await shop?.stop();
});

const asAna = ({ email, password } = ana) => ({ input: { email, password } });

describe("cookies", () => {
  it("are of no use to a page of another site", async () => {
    const buyer = await newPerson(shop.url);
    const productId = await newProduct(shop.url, buyer);
    const login = await exchange(gateway, post(LOGIN, asAna(buyer)));
    const cookie = cookiesOf(login)
      .map((line) => line.split(";")[0])
      .join("; ");
    const add = (headers: Record<string, string>) =>
      exchange(gateway, post(ADD, { input: { productId, quantity: 1 } }, { cookie, ...headers }));
    const cartOf = async () =>
      (await exchange(gateway, post("{ cart { lines { quantity } } }", {}, { cookie }))).json.data
        .cart;
    for (const headers of [
      { origin: "https://evil.example" },
      { origin: "null" },
      { origin: "https://evil.example", "sec-fetch-site": "same-origin" },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
      {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
      },
    ]) {
      refusedAsForeign(await add(headers), JSON.stringify(headers));
    }
    assert.equal(await cartOf(), null, "nothing was executed");
    for (const headers of [
      {},
      { origin: `http://${gateway}` },
      { origin: `https://${gateway}`, "sec-fetch-site": "same-origin" },
      { origin: FRONT_END, "sec-fetch-site": "cross-site" },
    ]) {
      assert.deepEqual((await add(headers)).json.errors, undefined, JSON.stringify(headers));
    }
    assert.deepEqual(await cartOf(), { lines: [{ quantity: 4 }] });
  });

  it("go over TLS only where a trusted proxy has it, no neighbour can plant them, and no others are read", async () => {
    const login = await exchange(gateway, post(LOGIN, asAna(), TLS));
    const values: string[] = [];
    for (const [at, name] of ["__Host-access_token", "__Host-refresh_token"].entries()) {
      const [pair = "", ...attributes] = (cookiesOf(login)[at] ?? "").split("; ");
      assert.ok(pair.startsWith(`${name}=`), pair.slice(0, 30));
      values.push(pair.slice(name.length + 1));
      const rest = attributes.filter((one) => !one.startsWith("Expires=")).sort();
      assert.deepEqual(rest, ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]);
    }
    assert.equal(login.headers["strict-transport-security"], "max-age=31536000");
    const [access = "", refresh = ""] = values;
    const me = async (cookie: string, headers: Record<string, string>) =>
      (await exchange(gateway, post("{ me { email } }", {}, { cookie, ...headers }))).reason;
    assert.equal(await me(`__Host-access_token=${access}`, TLS), undefined);
    assert.equal(await me(`access_token=${access}`, TLS), "SIGN_IN_REQUIRED");
    assert.equal(await me(`__Host-access_token=${access}`, {}), "SIGN_IN_REQUIRED");
    assert.equal(await me(`access_token=${access}`, {}), undefined);
    const renewed = async (cookie: string) =>
      exchange(gateway, post("mutation { refresh }", {}, { cookie, ...TLS }));
    assert.equal((await renewed(`refresh_token=${refresh}`)).reason, "SIGN_IN_REQUIRED");
    assert.ok((await renewed(`__Host-refresh_token=${refresh}`)).json.data.refresh);
    const out = await exchange(gateway, post("mutation { logout }", {}, TLS));
    for (const line of cookiesOf(out)) assert.match(line, /^__Host-\w+=; .*Path=\/.*Secure/);
  });

  it("are plain ones where nobody who is believed says that there is TLS", async () => {
    const login = await exchange(unlimited.address, post(LOGIN, asAna(), TLS));
    assert.match(cookiesOf(login)[0] ?? "", /^access_token=/);
    assert.equal(login.headers["strict-transport-security"], undefined);
  });
});

describe("limits of requests", () => {
  const quotaOf = ({ headers }: Got) =>
    ["limit", "remaining", "reset"].map((name) => Number(headers[`ratelimit-${name}`]));

  it("of an address: the last is answered and the next is refused unread, and told when", async () => {
    for (const left of [3, 2, 1, 0]) {
      const got = await exchange(counting.address, post("{ hello }", {}, from(1)));
      assert.deepEqual([got.status, ...quotaOf(got).slice(0, 2)], [200, 4, left]);
    }
    const unread = { method: "POST", headers: from(1), body: "not { JSON" };
    const refused = await exchange(counting.address, unread);
    const { status, code, reason, headers, json } = refused;
    assert.deepEqual([status, code, reason], [429, "RESOURCE_EXHAUSTED", "RATE_LIMITED"]);
    const retryAfter = Number(headers["retry-after"]);
    assert.ok(retryAfter >= 10 && retryAfter <= 15, `${retryAfter} s`);
    const { metadata } = json.errors[0].extensions;
    assert.deepEqual(metadata, { retryAfterSeconds: String(retryAfter) });
    assert.deepEqual(quotaOf(refused).slice(0, 2), [4, 0]);
  });

  it("of a user: one that is refused is the error of what needed the user, wherever they ask from", async () => {
    const other = await newPerson(shop.url);
    let client = 100;
    const asked = (query: string, { headers }: { headers: Record<string, string> }) =>
      exchange(counting.address, post(query, {}, { ...headers, ...from(++client) }));
    const three = "{ a: me { id } b: me { id } c: me { id } }";
    for (const left of [2, 1, 0]) {
      const got = await asked(three, other);
      assert.deepEqual([got.reason, ...quotaOf(got).slice(0, 2)], [undefined, 3, left]);
    }
    const refused = await asked("{ hello orders { nextCursor } }", other);
    assert.deepEqual(
      [refused.status, refused.code, refused.reason],
      [429, "RESOURCE_EXHAUSTED", "RATE_LIMITED"],
    );
    assert.deepEqual(refused.json.errors[0].path, ["orders"]);
    assert.ok(Number(refused.headers["retry-after"]) >= 1);
    const partly = await asked("{ hello cart { userId } }", other);
    assert.deepEqual(partly.json.data, { hello: "Hello from piata.", cart: null });
    assert.deepEqual([partly.status, partly.reason], [200, "RATE_LIMITED"]);
    assert.equal((await asked("{ hello }", other)).reason, undefined, "what is anybody's");
    assert.equal((await asked("{ me { id } }", { headers: bearer(ana.token) })).reason, undefined);
  });

  it("of registrations: also of those that fail, and of all in one document", async () => {
    const input = { email: "not an address", password: "long enough to be good" };
    const register = (query: string, client: number) =>
      exchange(counting.address, post(query, { input }, from(client)));
    const reasons = [];
    for (let time = 0; time < 3; time += 1) reasons.push((await register(REGISTER, 2)).reason);
    assert.deepEqual(reasons, Array(3).fill("EMAIL_INVALID"));
    const refused = await register(REGISTER, 2);
    assert.deepEqual([refused.status, refused.reason], [429, "RATE_LIMITED"]);
    assert.ok(Number(refused.headers["retry-after"]) > 1_000);
    const aliases = ["a", "b", "c", "d", "e"].map((name) => `${name}: registerUser(input: $input)`);
    const many = `mutation ($input: RegisterUserInput!) { ${aliases.join(" ")} }`;
    const { json } = await register(many, 3);
    assert.ok(json.errors.length >= 1 && json.data === null);
  });

  it("are none for the machine's own address, and none at 0", async () => {
    const input = { email: "not an address", password: "" };
    for (const address of [gateway, unlimited.address]) {
      for (let time = 0; time < 3; time += 1) {
        const got = await exchange(address, post("{ me { id } }", {}, ana.headers));
        assert.deepEqual([got.status, got.reason], [200, undefined]);
        assert.equal(got.headers["ratelimit-limit"], undefined);
        assert.equal((await exchange(address, post(REGISTER, { input }))).reason, "EMAIL_INVALID");
      }
    }
  });

  it("can be read by the pages that may ask", async () => {
    const headers = { ...from(4), origin: FRONT_END };
    const got: Got[] = [];
    for (let time = 0; time < 5; time += 1) {
      got.push(await exchange(counting.address, post("{ hello }", {}, headers)));
    }
    assert.deepEqual(
      got.map(({ status }) => status),
      [200, 200, 200, 200, 429],
    );
    assert.equal(got[4]?.headers["access-control-allow-origin"], FRONT_END);
  });
});
