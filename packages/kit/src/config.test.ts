import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import type * as z from "zod";
import {
  ConfigError,
  choice,
  commonSettings,
  databaseUrl,
  fraction,
  httpUrl,
  integer,
  list,
  optional,
  port,
  postgresUrl,
  readConfig,
  Secret,
  secretSetting,
  setting,
  target,
} from "./config.js";

const settings = {
  ...commonSettings("order"),
  cart: target("cart"),
  databaseUrl: secretSetting("ORDER_DATABASE_URL", postgresUrl(), "Its PostgreSQL database."),
  attempts: setting("ORDER_ATTEMPTS", integer(1, 10), "How often."),
};
const env = {
  ORDER_DATABASE_URL: "postgres://order:hunter2@127.0.0.1/order",
  ORDER_ATTEMPTS: "3",
};

function faultsOf(environment: NodeJS.ProcessEnv): string {
  try {
    readConfig(settings, environment);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message;
  }
  return assert.fail("it has no faults");
}

describe("the configuration", () => {
  it("has the fallbacks for what is not set", () => {
    const { databaseUrl, ...rest } = readConfig(settings, env);
    assert.deepEqual(rest, {
      host: "127.0.0.1",
      port: 0,
      httpPort: 0,
      advertisedHost: undefined,
      tlsDir: undefined,
      discoveryAddresses: [],
      version: "unknown",
      logLevel: "info",
      otlpEndpoint: undefined,
      drainMs: 300,
      finishMs: 8_000,
      tracesRatio: 1,
      cart: "discovery:///cart",
      attempts: 3,
    });
    assert.equal(databaseUrl.reveal(), env.ORDER_DATABASE_URL);
  });

  it("takes what is set", () => {
    const config = readConfig(settings, {
      ...env,
      ORDER_HOST: "0.0.0.0",
      ORDER_PORT: "50053",
      ORDER_ADVERTISED_HOST: "order-1",
      DISCOVERY_ADDRESSES: " a:1, b:2 ,,",
      LOG_LEVEL: "warn",
      CART_TARGET: "dns:///cart:50051",
    });
    assert.deepEqual(config.discoveryAddresses, ["a:1", "b:2"]);
    assert.deepEqual(
      [config.host, config.port, config.advertisedHost, config.logLevel, config.cart],
      ["0.0.0.0", 50_053, "order-1", "warn", "dns:///cart:50051"],
    );
  });

  it("tells all faults at once, by name and never by value", () => {
    const faults = faultsOf({
      ORDER_DATABASE_URL: "mysql://order:hunter2@127.0.0.1/order",
      ORDER_PORT: "hunter2",
      LOG_LEVEL: "hunter2",
    });
    assert.deepEqual(faults.split("\n"), [
      "Bad configuration:",
      "  ORDER_PORT: must be a whole number from 0 to 65535",
      "  LOG_LEVEL: must be one of debug, info, warn, error",
      "  ORDER_DATABASE_URL: must be a URL that starts with postgres:// or postgresql://",
      "  ORDER_ATTEMPTS is missing: How often.",
    ]);
  });

  it("takes a secret from the file that is named for it, and says when it cannot", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "piata-config-"));
    t.after(() => rm(folder, { recursive: true }));
    const file = join(folder, "url");
    await writeFile(file, `${env.ORDER_DATABASE_URL}\n`);
    const given = { ORDER_ATTEMPTS: "3", ORDER_DATABASE_URL_FILE: file };
    assert.equal(readConfig(settings, given).databaseUrl.reveal(), env.ORDER_DATABASE_URL);
    assert.match(faultsOf({ ...given, ...env }), /ORDER_DATABASE_URL_FILE: only one of them/);
    await rm(file);
    assert.match(faultsOf(given), /ORDER_DATABASE_URL_FILE: the file cannot be read \(ENOENT\)/);
  });

  it("takes an empty string for one that is not set", () => {
    const config = readConfig(settings, { ...env, ORDER_HOST: "", LOG_LEVEL: "", ORDER_PORT: "" });
    assert.deepEqual([config.host, config.logLevel, config.port], ["127.0.0.1", "info", 0]);
    assert.match(
      faultsOf({ ...env, ORDER_DATABASE_URL: "" }),
      /ORDER_DATABASE_URL is missing: Its PostgreSQL database\./,
    );
  });
});

const accepts = (type: z.ZodType, text: string): boolean => type.safeParse(text).success;

describe("a setting's type", () => {
  it("integer takes decimal whole numbers within its bounds only", () => {
    const type = integer(1, 100);
    for (const text of ["1", "100", "007"]) assert.ok(accepts(type, text), text);
    for (const text of ["0", "101", "-1", "1.5", "1e1", "0x1", " 1", "", "9".repeat(20), "NaN"]) {
      assert.ok(!accepts(type, text), text);
    }
    assert.deepEqual(type.safeParse("42").data, 42);
  });

  it("port takes what TCP has", () => {
    assert.ok(accepts(port(0), "65535"));
    assert.ok(!accepts(port(0), "65536"));
    assert.equal(port(9).parse(undefined), 9);
  });

  it("optional keeps a value that is falsy", () => {
    assert.equal(optional(integer(0, 9), 5).parse("0"), 0);
    assert.equal(optional(integer(0, 9), 5).parse(undefined), 5);
  });

  it("choice and list read words", () => {
    assert.ok(!accepts(choice(["a", "b"]), "c"));
    assert.deepEqual(list().parse(undefined), []);
    assert.deepEqual(list().parse("a"), ["a"]);
  });

  it("fraction takes decimal numbers from 0 to 1 only", () => {
    const type = fraction();
    for (const text of ["0", "1", "0.25", "1.0"]) assert.ok(accepts(type, text), text);
    for (const text of ["1.1", "-0.1", ".5", "1e-3", "NaN", "a", "0.", "2"]) {
      assert.ok(!accepts(type, text), text);
    }
    assert.equal(type.safeParse("0.01").data, 0.01);
  });

  it("httpUrl takes URLs of HTTP servers only", () => {
    const type = httpUrl();
    for (const text of ["http://a:4318", "https://b/base"]) assert.ok(accepts(type, text), text);
    for (const text of ["a:4318", "grpc://a", "", "//a"]) assert.ok(!accepts(type, text), text);
  });

  it("databaseUrl takes URLs of its schemes only", () => {
    const type = databaseUrl("mongodb:", "postgres:");
    assert.ok(accepts(type, "mongodb://127.0.0.1/cart"));
    for (const text of ["http://127.0.0.1/", "postgres", "//x"]) assert.ok(!accepts(type, text));
  });
});

it("a Secret shows itself nowhere", () => {
  const secret = new Secret("hunter2");
  const shown = [
    JSON.stringify({ secret }),
    `${secret}`,
    String(secret),
    inspect(secret),
    inspect({ deep: { secret } }, { depth: 9, showHidden: true }),
    JSON.stringify(structuredClone({ secret: { ...secret } })),
    Object.keys(secret).join(),
  ];
  for (const text of shown) assert.doesNotMatch(text, /hunter2/);
  assert.equal(shown[0], '{"secret":"***"}');
  assert.equal(secret.reveal(), "hunter2");
});
