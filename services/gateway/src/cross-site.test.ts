import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { RunningService } from "@piata/testkit/service";
import { exchange, post, refusedAsForeign } from "./exchange.fixture.js";
import { startGateway } from "./fixture.js";

const FRONT_END = "https://shop.example";

let imagesDir: string;
let gateway: RunningService;
/** Knows its own names, and shows no page. */
let bare: RunningService;
let proxied: RunningService;

before(async () => {
  imagesDir = await mkdtemp(join(tmpdir(), "piata-images-"));
  await writeFile(join(imagesDir, "lamp.svg"), "<svg/>");
  [gateway, bare, proxied] = await Promise.all([
    startGateway({
      GATEWAY_GRAPHIQL: "on",
      GATEWAY_IMAGES_DIR: imagesDir,
      GATEWAY_CORS_ORIGINS: `${FRONT_END}, http://localhost:5173`,
    }),
    startGateway({ GATEWAY_HOSTS: "127.0.0.1,shop.example" }),
    startGateway({ GATEWAY_TRUSTED_PROXIES: "127.0.0.1" }),
  ]);
});
after(async () => {
  await Promise.all([gateway?.stop(), bare?.stop(), proxied?.stop()]);
  await rm(imagesDir, { recursive: true });
});

describe("a page of another site", () => {
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
      refusedAsForeign(await exchange(gateway.address, post("{ hello }", {}, { origin })), origin);
    }
    const headers = { origin: FRONT_END, "sec-fetch-site": "cross-site" };
    const got = await exchange(gateway.address, post("{ hello }", {}, headers));
    assert.deepEqual(got.json.data, { hello: "Hello from piata." });
    assert.equal(got.headers["access-control-allow-origin"], FRONT_END);
    assert.equal(got.headers["access-control-allow-credentials"], "true");
    assert.match(got.headers["access-control-expose-headers"] ?? "", /x-trace-id.*retry-after/);
    assert.match(got.headers.vary ?? "", /origin/i);
  });

  it("is told by a preflight what it may send, and a stranger is told nothing", async () => {
    const preflight = (origin: string, path?: string) =>
      exchange(gateway.address, {
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
    const own = await exchange(gateway.address, { method: "OPTIONS" });
    assert.deepEqual([own.status, own.reason], [404, "PATH_UNKNOWN"]);
  });

  it("may link to the shop and show its images, and ask for nothing", async () => {
    const foreign = { "sec-fetch-site": "cross-site" };
    const navigation = { ...foreign, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
    const get = (path: string, headers: Record<string, string>) =>
      exchange(gateway.address, { path, headers });
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

  it("gets no page where there is none", async () => {
    const headers = {
      "sec-fetch-site": "cross-site",
      "sec-fetch-mode": "navigate",
      "sec-fetch-dest": "document",
      accept: "text/html",
    };
    refusedAsForeign(
      await exchange(bare.address, { path: "/graphql?query={hello}", headers }),
      "a link to a query",
    );
  });

  it("may not call the shop by a name that is not the shop's", async () => {
    const { address } = bare;
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

  it("is one of the shop's own when a trusted proxy says so", async () => {
    const { address } = proxied;
    const tls = { "x-forwarded-proto": "https", "x-forwarded-host": "shop.example" };
    const asked = (origin: string, headers: Record<string, string>) =>
      exchange(address, post("{ hello }", {}, { origin, ...headers }));
    assert.equal((await asked("https://shop.example", tls)).status, 200);
    refusedAsForeign(await asked("http://shop.example", tls), "without TLS");
    refusedAsForeign(await asked(`https://${address}`, tls), "its name behind the proxy");
    const forged = await exchange(
      gateway.address,
      post("{ hello }", {}, { ...tls, origin: "https://evil.example" }),
    );
    refusedAsForeign(forged, "forged");
    const planted = { ...tls, "x-forwarded-host": "evil.example", origin: "https://evil.example" };
    refusedAsForeign(
      await exchange(gateway.address, post("{ hello }", {}, planted)),
      "not a proxy",
    );
  });
});
