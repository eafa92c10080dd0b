import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { RunningService } from "@piata/testkit/service";
import { exchange, post, type Sent, talk } from "./exchange.fixture.js";
import { startGateway } from "./fixture.js";

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

let imagesDir: string;
let gateway: RunningService;
/** Takes one request at a time. */
let narrow: RunningService;

before(async () => {
  imagesDir = await mkdtemp(join(tmpdir(), "piata-images-"));
  await writeFile(join(imagesDir, "lamp.svg"), "<svg/>");
  [gateway, narrow] = await Promise.all([
    startGateway({ GATEWAY_GRAPHIQL: "on", GATEWAY_IMAGES_DIR: imagesDir }),
    startGateway({ GATEWAY_REQUESTS_MAX: "1" }),
  ]);
});
after(async () => {
  await Promise.all([gateway?.stop(), narrow?.stop()]);
  await rm(imagesDir, { recursive: true });
});

describe("every answer", () => {
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
      const got = await exchange(gateway.address, sent);
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
      const got = await exchange(gateway.address, { path });
      assert.equal(got.status, status);
      assertSecure(got.headers, image);
    }
  });

  it("also of GraphiQL, whose page runs its own scripts and no others", async () => {
    const got = await exchange(gateway.address, { headers: { accept: "text/html" } });
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

  it("also of what is refused for load", async () => {
    const one = `GET /graphql?query={hello} HTTP/1.1\r\nhost: x\r\n`;
    const answers = await talk(
      narrow.address,
      `${`${one}\r\n`.repeat(5)}${one}connection: close\r\n\r\n`,
    );
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
      const answer = parsed(await talk(gateway.address, text));
      const what = JSON.stringify(text.slice(0, 80));
      assert.deepEqual([answer.status, answer.reason], [status, reason], what);
      assert.equal(answer.code, "INVALID_ARGUMENT", what);
      assertSecure(answer.headers);
    }
    const fits = `GET /graphql?query={hello} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n`;
    for (const more of [`a: ${"a".repeat(8_000)}\r\n`, "a: b\r\n".repeat(98)]) {
      assert.match(
        await talk(gateway.address, `${fits}${more}\r\n`),
        /^HTTP\/1.1 200 .*Hello from piata/s,
      );
    }
  });
});
