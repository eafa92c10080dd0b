import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConfigError, readConfig } from "@piata/kit/config";
import { edgeSettings } from "./config.js";

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
