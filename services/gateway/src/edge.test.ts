import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { ConfigError, readConfig } from "@piata/kit/config";
import { until } from "@piata/testkit/until";
import { edgeSettings } from "./config.js";
import { bearer, newPerson, newProduct, type Person, type Shop, startShop } from "./fixture.js";

const FRONT_END = "https://shop.example";
const ADD = "mutation ($input: CartItemInput!) { addToCart(input: $input) }";
const LOGIN = "mutation ($input: AuthLoginInput!) { login(input: $input) }";
const REGISTER = "mutation ($input: RegisterUserInput!) { registerUser(input: $input) }";

interface Sent {
  path?: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
}

interface Got {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  reason: string | undefined;
  code: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it has asked for.
  json: any;
}

/** Sends a request with whatever header fields, which fetch would not. */
async function exchange(address: string, { path = "/graphql", body, ...sent }: Sent): Promise<Got> {
  const [host, port] = address.split(":");
  const asked = request({ host, port, path, agent: false, ...sent }).end(body);
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  const text = Buffer.concat(await response.toArray()).toString();
  const { statusCode: status = 0, headers } = response;
  const isJson = headers["content-type"]?.startsWith("application/json") && text !== "";
  const json = isJson ? JSON.parse(text) : undefined;
  const { reason, code, traceId } = json?.errors?.[0]?.extensions ?? {};
  if (traceId) assert.equal(headers["x-trace-id"], traceId);
  return { status, headers, text, json, reason, code };
}

const post = (
  query: string,
  variables: object = {},
  headers: Record<string, string> = {},
): Sent => ({
  method: "POST",
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify({ query, variables }),
});

/** Everything that a server says to a text, until it closes the connection. */
async function talk(address: string, text: string): Promise<string> {
  const [host, port] = address.split(":");
  const socket = connect(Number(port), host).setEncoding("latin1");
  socket.write(text);
  return (await socket.toArray()).join("");
}

const cookiesOf = ({ headers }: Got): string[] => headers["set-cookie"] ?? [];

let shop: Shop;
let gateway: string;
let ana: Person;
let productId: number;
let imagesDir: string;

before(async () => {
  imagesDir = await mkdtemp(join(tmpdir(), "piata-images-"));
  await writeFile(join(imagesDir, "lamp.svg"), "<svg/>");
  shop = await startShop({
    GATEWAY_GRAPHIQL: "on",
    GATEWAY_IMAGES_DIR: imagesDir,
    GATEWAY_CORS_ORIGINS: `${FRONT_END}, http://localhost:5173`,
  });
  gateway = new URL(shop.url).host;
  ana = await newPerson(shop.url);
  productId = await newProduct(shop.url, ana);
});
after(async () => {
  await shop.stop();
  await rm(imagesDir, { recursive: true });
});

/** Another gateway, for settings of its own. */
async function another(t: TestContext, env: Record<string, string>) {
  const program = await shop.startGateway(env);
  t.after(() => program.stop());
  return { address: program.address, output: program.output };
}

const asAna = ({ email, password } = ana) => ({ input: { email, password } });

function refusedAsForeign(got: Got, what: string): void {
  const { status, code, reason, headers } = got;
  const expected = { status: 403, code: "PERMISSION_DENIED", reason: "ORIGIN_NOT_ALLOWED" };
  assert.deepEqual({ status, code, reason }, expected, what);
  assert.equal(headers["access-control-allow-origin"], undefined, what);
  assert.equal(headers["access-control-allow-credentials"], undefined, what);
}

describe("a page of another site", () => {
  it("does nothing with the cookies of somebody who is signed in", async () => {
    const buyer = await newPerson(shop.url);
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

  it("is known by its exact origin", async () => {
    for (const origin of [
      "https://evil-shop.example",
      "https://shop.example.evil.example",
      "https://www.shop.example",
      "https://SHOP.example",
      "http://shop.example",
      "https://shop.example:8443",
      "https://shop.example:443",
      "https://shop.example/",
      "https://shop.example, https://shop.example",
      "http://localhost",
      "http://localhost:51730",
      "*",
      "null",
      "",
    ]) {
      refusedAsForeign(await exchange(gateway, post("{ hello }", {}, { origin })), origin);
    }
    const headers = { origin: FRONT_END, "sec-fetch-site": "cross-site" };
    const got = await exchange(gateway, post("{ hello }", {}, headers));
    assert.deepEqual(got.json.data, { hello: "Hello from piata." });
    assert.equal(got.headers["access-control-allow-origin"], FRONT_END);
    assert.equal(got.headers["access-control-allow-credentials"], "true");
    assert.match(got.headers["access-control-expose-headers"] ?? "", /x-trace-id.*retry-after/);
    assert.match(got.headers.vary ?? "", /origin/i);
  });

  it("is told by a preflight what it may send, and a stranger is told nothing", async () => {
    const preflight = (origin: string, path?: string) =>
      exchange(gateway, {
        method: "OPTIONS",
        ...(path && { path }),
        headers: {
          origin,
          "access-control-request-method": "POST",
          "access-control-request-headers": "content-type",
          "sec-fetch-site": "cross-site",
        },
      });
    const { status, headers, text } = await preflight(FRONT_END);
    assert.deepEqual([status, text], [204, ""]);
    assert.equal(headers["access-control-allow-origin"], FRONT_END);
    assert.equal(headers["access-control-allow-methods"], "GET, POST");
    for (const name of ["content-type", "authorization", "idempotency-key", "traceparent"]) {
      assert.ok(headers["access-control-allow-headers"]?.includes(name), name);
    }
    const stranger = await preflight("https://evil.example");
    refusedAsForeign(stranger, "a stranger's preflight");
    assert.equal(stranger.headers["access-control-allow-methods"], undefined);
    assert.equal(stranger.headers["access-control-allow-headers"], undefined);
    const own = await exchange(gateway, { method: "OPTIONS" });
    assert.deepEqual([own.status, own.reason], [404, "PATH_UNKNOWN"]);
  });

  it("may link to the shop and show its images, and ask for nothing", async () => {
    const foreign = { "sec-fetch-site": "cross-site" };
    const navigation = { ...foreign, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
    const get = (path: string, headers: Record<string, string>) =>
      exchange(gateway, { path, headers });
    const page = await get("/graphql", { ...navigation, accept: "text/html" });
    assert.match(page.text, /<!doctype html>/i);
    assert.equal((await get("/", navigation)).status, 302);
    for (const headers of [foreign, { ...foreign, origin: "https://evil.example" }]) {
      const image = await get("/images/lamp.svg", headers);
      assert.deepEqual([image.status, image.text], [200, "<svg/>"]);
      assert.equal(image.headers["cross-origin-resource-policy"], "cross-origin");
    }
    for (const [path, headers] of [
      ["/graphql?query={hello}", foreign],
      ["/graphql?query={hello}", { ...foreign, "sec-fetch-mode": "no-cors", accept: "*/*" }],
      ["/graphql?query={hello}", { ...navigation, accept: "application/json" }],
      [
        "/graphql?query={hello}",
        { ...navigation, "sec-fetch-dest": "iframe", accept: "text/html" },
      ],
      ["/", foreign],
    ] as const) {
      refusedAsForeign(await get(path, headers), JSON.stringify([path, headers]));
    }
  });

  it("gets no page where there is none", async (t) => {
    const { address } = await another(t, {});
    const headers = {
      "sec-fetch-site": "cross-site",
      "sec-fetch-mode": "navigate",
      "sec-fetch-dest": "document",
      accept: "text/html",
    };
    refusedAsForeign(
      await exchange(address, { path: "/graphql?query={hello}", headers }),
      "a link to a query",
    );
  });

  it("may not call the shop by a name that is not the shop's", async (t) => {
    const { address } = await another(t, { GATEWAY_HOSTS: "127.0.0.1,shop.example" });
    const asked = (host: string) =>
      exchange(
        address,
        post("{ hello }", {}, { host, origin: `http://${host.replace(/:80$/, "")}` }),
      );
    for (const host of [address, "shop.example", "SHOP.example:80"]) {
      const { status } = await asked(host.toLowerCase());
      assert.equal(status, 200, host);
    }
    for (const host of ["rebound.example:30000", "shop.example.evil.example", "localhost"]) {
      const { status, code, reason } = await asked(host);
      const refusal = [403, "PERMISSION_DENIED", "HOST_NOT_ALLOWED"];
      assert.deepEqual([status, code, reason], refusal, host);
    }
  });
});

describe("who a proxy says that it asks for", () => {
  const limits = { GATEWAY_RATE_LIMIT_EXEMPT: "none", GATEWAY_ADDRESS_REQUESTS_PER_MINUTE: "3" };
  const hello = (address: string, forwardedFor: string) =>
    exchange(address, post("{ hello }", {}, { "x-forwarded-for": forwardedFor }));
  const statuses = async (address: string, forwarded: readonly string[]) => {
    const got = [];
    for (const one of forwarded) got.push((await hello(address, one)).status);
    return got;
  };

  it("is not believed of anybody else, and an operator is told once", async (t) => {
    const { address, output } = await another(t, limits);
    const forged = ["203.0.113.1", "203.0.113.2", "127.0.0.1", "203.0.113.4", "203.0.113.5"];
    assert.deepEqual(await statuses(address, forged), [200, 200, 200, 429, 429]);
    await until(() => output().includes("GATEWAY_TRUSTED_PROXIES"));
    assert.equal(output().match(/GATEWAY_TRUSTED_PROXIES/g)?.length, 1);
  });

  it("is counted for each client, whatever the client has written before it", async (t) => {
    const { address, output } = await another(t, {
      ...limits,
      GATEWAY_TRUSTED_PROXIES: "127.0.0.1,10.0.0.0/8",
    });
    const forged = ["1.1.1.1, 203.0.113.7", "127.0.0.1,203.0.113.7", "x, 203.0.113.7"];
    assert.deepEqual(await statuses(address, forged), [200, 200, 200]);
    const same = ["203.0.113.7", "2.2.2.2, 203.0.113.7, 10.1.2.3", "::ffff:203.0.113.7"];
    assert.deepEqual(await statuses(address, same), [429, 429, 429]);
    assert.deepEqual(await statuses(address, ["203.0.113.8", "203.0.113.7:80"]), [200, 429]);
    const network = ["2001:db8:1:2::1", "2001:db8:1:2:3::1", "2001:DB8:1:2:ffff:ffff:ffff:ffff"];
    assert.deepEqual(await statuses(address, network), [200, 200, 200]);
    const neighbours = ["2001:db8:1:2::9", "2001:db8:1:3::1"];
    assert.deepEqual(await statuses(address, neighbours), [429, 200]);
    assert.doesNotMatch(output(), /GATEWAY_TRUSTED_PROXIES/);
  });

  it("has cookies that go over TLS only and that no neighbour can plant, and no others are read", async (t) => {
    const { address } = await another(t, { GATEWAY_TRUSTED_PROXIES: "127.0.0.1" });
    const tls = { "x-forwarded-proto": "https", "x-forwarded-host": "shop.example" };
    const login = await exchange(address, post(LOGIN, asAna(), tls));
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
      (await exchange(address, post("{ me { email } }", {}, { cookie, ...headers }))).reason;
    assert.equal(await me(`__Host-access_token=${access}`, tls), undefined);
    assert.equal(await me(`access_token=${access}`, tls), "SIGN_IN_REQUIRED");
    assert.equal(await me(`__Host-access_token=${access}`, {}), "SIGN_IN_REQUIRED");
    assert.equal(await me(`access_token=${access}`, {}), undefined);
    const renewed = async (cookie: string) =>
      exchange(address, post("mutation { refresh }", {}, { cookie, ...tls }));
    assert.equal((await renewed(`refresh_token=${refresh}`)).reason, "SIGN_IN_REQUIRED");
    assert.ok((await renewed(`__Host-refresh_token=${refresh}`)).json.data.refresh);
    const out = await exchange(address, post("mutation { logout }", {}, tls));
    for (const line of cookiesOf(out)) assert.match(line, /^__Host-\w+=; .*Path=\/.*Secure/);
  });

  it("decides which pages are its own", async (t) => {
    const { address } = await another(t, { GATEWAY_TRUSTED_PROXIES: "127.0.0.1" });
    const tls = { "x-forwarded-proto": "https", "x-forwarded-host": "shop.example" };
    const asked = (origin: string, headers: Record<string, string>) =>
      exchange(address, post("{ hello }", {}, { origin, ...headers }));
    assert.equal((await asked("https://shop.example", tls)).status, 200);
    refusedAsForeign(await asked("http://shop.example", tls), "without TLS");
    refusedAsForeign(await asked(`https://${address}`, tls), "its name behind the proxy");
    const forged = await exchange(
      gateway,
      post("{ hello }", {}, { ...tls, origin: "https://evil.example" }),
    );
    refusedAsForeign(forged, "forged");
    const planted = { ...tls, "x-forwarded-host": "evil.example", origin: "https://evil.example" };
    refusedAsForeign(await exchange(gateway, post("{ hello }", {}, planted)), "not a proxy");
    const plain = await exchange(gateway, post(LOGIN, asAna(), tls));
    assert.match(cookiesOf(plain)[0] ?? "", /^access_token=/);
    assert.equal(plain.headers["strict-transport-security"], undefined);
  });
});

describe("limits of requests", () => {
  const counted = { GATEWAY_RATE_LIMIT_EXEMPT: "none" };
  const quotaOf = ({ headers }: Got) =>
    ["limit", "remaining", "reset"].map((name) => Number(headers[`ratelimit-${name}`]));

  it("of an address: the last is answered and the next is refused unread, and told when", async (t) => {
    const { address } = await another(t, { ...counted, GATEWAY_ADDRESS_REQUESTS_PER_MINUTE: "4" });
    for (const left of [3, 2, 1, 0]) {
      const got = await exchange(address, post("{ hello }"));
      assert.deepEqual([got.status, ...quotaOf(got).slice(0, 2)], [200, 4, left]);
    }
    const refused = await exchange(address, { method: "POST", body: "not { JSON" });
    const { status, code, reason, headers, json } = refused;
    assert.deepEqual([status, code, reason], [429, "RESOURCE_EXHAUSTED", "RATE_LIMITED"]);
    const retryAfter = Number(headers["retry-after"]);
    assert.ok(retryAfter >= 10 && retryAfter <= 15, `${retryAfter} s`);
    const { metadata } = json.errors[0].extensions;
    assert.deepEqual(metadata, { retryAfterSeconds: String(retryAfter) });
    assert.deepEqual(quotaOf(refused).slice(0, 2), [4, 0]);
  });

  it("of a user: one that is refused is the error of what needed the user, wherever they ask from", async (t) => {
    const { address } = await another(t, {
      ...counted,
      GATEWAY_TRUSTED_PROXIES: "127.0.0.1",
      GATEWAY_USER_REQUESTS_PER_MINUTE: "3",
    });
    const other = await newPerson(shop.url);
    let client = 0;
    const asked = (query: string, { headers }: { headers: Record<string, string> }) =>
      exchange(
        address,
        post(query, {}, { ...headers, "x-forwarded-for": `203.0.113.${++client}` }),
      );
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

  it("of registrations: also of those that fail, and of all in one document", async (t) => {
    const { address } = await another(t, { ...counted, GATEWAY_REGISTRATIONS_PER_HOUR: "3" });
    const input = { email: "not an address", password: "long enough to be good" };
    const aliases = ["a", "b", "c", "d", "e"].map((name) => `${name}: registerUser(input: $input)`);
    const reasons = [];
    for (let time = 0; time < 3; time += 1) {
      reasons.push((await exchange(address, post(REGISTER, { input }))).reason);
    }
    assert.deepEqual(reasons, Array(3).fill("EMAIL_INVALID"));
    const refused = await exchange(address, post(REGISTER, { input }));
    assert.deepEqual([refused.status, refused.reason], [429, "RATE_LIMITED"]);
    assert.ok(Number(refused.headers["retry-after"]) > 1_000);
    const many = `mutation ($input: RegisterUserInput!) { ${aliases.join(" ")} }`;
    const fresh = await another(t, { ...counted, GATEWAY_REGISTRATIONS_PER_HOUR: "3" });
    const { json } = await exchange(fresh.address, post(many, { input }));
    assert.ok(json.errors.length >= 1 && json.data === null);
  });

  it("are none for the machine's own address, and none at 0", async (t) => {
    const own = await another(t, {
      GATEWAY_ADDRESS_REQUESTS_PER_MINUTE: "1",
      GATEWAY_USER_REQUESTS_PER_MINUTE: "1",
      GATEWAY_REGISTRATIONS_PER_HOUR: "1",
    });
    const off = await another(t, {
      ...counted,
      GATEWAY_ADDRESS_REQUESTS_PER_MINUTE: "0",
      GATEWAY_USER_REQUESTS_PER_MINUTE: "0",
      GATEWAY_REGISTRATIONS_PER_HOUR: "0",
    });
    const input = { email: "not an address", password: "" };
    for (const { address } of [own, off]) {
      for (let time = 0; time < 3; time += 1) {
        const got = await exchange(address, post("{ me { id } }", {}, ana.headers));
        assert.deepEqual([got.status, got.reason], [200, undefined]);
        assert.equal(got.headers["ratelimit-limit"], undefined);
        assert.equal((await exchange(address, post(REGISTER, { input }))).reason, "EMAIL_INVALID");
      }
    }
  });

  it("can be read by the pages that may ask", async (t) => {
    const { address } = await another(t, {
      ...counted,
      GATEWAY_ADDRESS_REQUESTS_PER_MINUTE: "1",
      GATEWAY_CORS_ORIGINS: FRONT_END,
    });
    const headers = { origin: FRONT_END };
    await exchange(address, post("{ hello }", {}, headers));
    const refused = await exchange(address, post("{ hello }", {}, headers));
    assert.equal(refused.status, 429);
    assert.equal(refused.headers["access-control-allow-origin"], FRONT_END);
  });
});

describe("every answer", () => {
  const fixed = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
  };

  function assertSecure(headers: IncomingHttpHeaders, expected: Record<string, string> = fixed) {
    for (const [name, value] of Object.entries(expected)) assert.equal(headers[name], value, name);
    for (const name of ["server", "x-powered-by", "strict-transport-security"]) {
      assert.equal(headers[name], undefined, name);
    }
  }

  /** Of a raw answer, whose body must be an error of ours. */
  function parsed(answer: string) {
    const [head = "", body = ""] = answer.split("\r\n\r\n");
    const [line = "", ...fields] = head.split("\r\n");
    const pairs = fields.map((field) => field.split(": ") as [string, string]);
    const headers: IncomingHttpHeaders = Object.fromEntries(
      pairs.map(([name, value]) => [name.toLowerCase(), value]),
    );
    const { code, reason, traceId } = JSON.parse(body).errors[0].extensions;
    assert.equal(headers["x-trace-id"], traceId);
    assert.equal(Number(headers["content-length"]), body.length);
    return { status: Number(line.split(" ")[1]), headers, code, reason };
  }

  it("has the headers that keep browsers from harm, whatever its status", async () => {
    const big = JSON.stringify({ query: "{ hello }", variables: { x: "a".repeat(100_000) } });
    const json = { "content-type": "application/json" };
    const answers: readonly [number, Sent][] = [
      [200, post("{ hello }")],
      [200, post("{ product(id: 1.5) { id } }")],
      [302, { path: "/" }],
      [400, post("{ nothing }")],
      [400, { method: "POST", headers: json, body: "{" }],
      [400, { path: "/%zz" }],
      [403, post("{ hello }", {}, { origin: "null" })],
      [404, { path: "/nothing" }],
      [404, { method: "DELETE" }],
      [405, { path: `/graphql?${new URLSearchParams({ query: "mutation { clearCart }" })}` }],
      [413, { method: "POST", headers: json, body: big }],
      [415, { method: "POST", headers: { "content-type": "text/plain" }, body: "{}" }],
      [
        200,
        {
          method: "POST",
          headers: { ...json, expect: "a miracle" },
          body: post("{ hello }").body as string,
        },
      ],
    ];
    for (const [status, sent] of answers) {
      const got = await exchange(gateway, sent);
      assert.equal(got.status, status, JSON.stringify(sent).slice(0, 100));
      assertSecure(got.headers);
    }
  });

  it("also of images", async () => {
    const image = {
      ...fixed,
      "cross-origin-resource-policy": "cross-origin",
      "content-security-policy":
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
    };
    for (const [status, path] of [
      [200, "/images/lamp.svg"],
      [404, "/images/none.svg"],
    ] as const) {
      const got = await exchange(gateway, { path });
      assert.equal(got.status, status);
      assertSecure(got.headers, image);
    }
  });

  it("also of GraphiQL, whose page runs its own scripts and no others", async () => {
    const got = await exchange(gateway, { headers: { accept: "text/html" } });
    const { "content-security-policy": given, ...rest } = got.headers;
    const policy = String(given);
    const { "content-security-policy": _, ...others } = fixed;
    assertSecure(rest, others);
    const scripts = /script-src ([^;]*)/.exec(policy)?.[1]?.split(" ") ?? [];
    assert.equal(scripts.length, got.text.match(/<script[^>]*>[\s\S]*?<\/script>/g)?.length);
    for (const script of scripts) assert.match(script, /^'sha256-[A-Za-z0-9+/]{43}='$/);
    assert.match(policy, /default-src 'none'.*connect-src 'self'.*frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe-eval|\*/);
  });

  it("also of what is refused for load", async (t) => {
    const { address } = await another(t, { GATEWAY_REQUESTS_MAX: "1" });
    const one = `GET /graphql?query={hello} HTTP/1.1\r\nhost: x\r\n`;
    const answers = await talk(address, `${`${one}\r\n`.repeat(5)}${one}connection: close\r\n\r\n`);
    const last = parsed(answers.slice(answers.lastIndexOf("HTTP/1.1 ")));
    assert.deepEqual([last.status, last.reason], [503, "OVERLOADED"]);
    assertSecure(last.headers);
  });

  it("also of what is no HTTP, and then it is an error like others", async () => {
    for (const [status, reason, text] of [
      [400, "REQUEST_INVALID", "hello\r\n\r\n"],
      [400, "REQUEST_INVALID", "GET /graphql HTTP/1.1\r\nhost: x\r\na b: c\r\n\r\n"],
      [400, "REQUEST_INVALID", "GET /graphql HTTP/1.1\r\nconnection: close\r\n\r\n"],
      [400, "REQUEST_INVALID", "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n"],
      [
        400,
        "REQUEST_INVALID",
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
      ],
      [
        431,
        "HEADERS_TOO_LARGE",
        `GET /graphql HTTP/1.1\r\nhost: x\r\na: ${"a".repeat(8_200)}\r\n\r\n`,
      ],
      [431, "HEADERS_TOO_LARGE", `GET /${"a".repeat(9_000)} HTTP/1.1\r\nhost: x\r\n\r\n`],
      [
        431,
        "HEADERS_TOO_LARGE",
        `GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${"a: b\r\n".repeat(99)}\r\n`,
      ],
    ] as const) {
      const answer = parsed(await talk(gateway, text));
      const what = JSON.stringify(text.slice(0, 80));
      assert.deepEqual([answer.status, answer.reason], [status, reason], what);
      assert.equal(answer.code, "INVALID_ARGUMENT", what);
      assertSecure(answer.headers);
    }
    const fits = `GET /graphql?query={hello} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n`;
    for (const more of [`a: ${"a".repeat(8_000)}\r\n`, "a: b\r\n".repeat(98)]) {
      assert.match(await talk(gateway, `${fits}${more}\r\n`), /^HTTP\/1.1 200 .*Hello from piata/s);
    }
  });
});

describe("settings of the edge", () => {
  it("that cannot be meant are refused at the start", () => {
    for (const [name, value] of [
      ["GATEWAY_CORS_ORIGINS", "*"],
      ["GATEWAY_CORS_ORIGINS", "https://*.shop.example"],
      ["GATEWAY_CORS_ORIGINS", "https://shop.example/"],
      ["GATEWAY_CORS_ORIGINS", "shop.example"],
      ["GATEWAY_CORS_ORIGINS", "https://Shop.example"],
      ["GATEWAY_CORS_ORIGINS", "null"],
      ["GATEWAY_CORS_ORIGINS", "ftp://shop.example"],
      ["GATEWAY_TRUSTED_PROXIES", "everybody"],
      ["GATEWAY_TRUSTED_PROXIES", "0.0.0.0/0"],
      ["GATEWAY_RATE_LIMIT_EXEMPT", "none,10.0.0.1"],
      ["GATEWAY_HOSTS", "shop.example:443"],
      ["GATEWAY_HOSTS", "*"],
      ["GATEWAY_COOKIE_SECURE", "yes"],
    ] as const) {
      assert.throws(
        () => readConfig(edgeSettings, { [name]: value }),
        (error) => {
          assert.ok(error instanceof ConfigError && error.message.includes(`${name}: must be`));
          return true;
        },
        `${name}=${value}`,
      );
    }
  });
});
