import { CartServiceService } from "@piata/contracts/cart";
import { Passports } from "@piata/kit/passport";
import { defineProgram, type Start } from "@piata/kit/program";
import { openPublicKeys } from "@piata/kit/public-keys";
import { run } from "@piata/kit/run";
import { settings } from "./config.js";
import { CartHandlers, STORE } from "./handlers.js";
import { openStore } from "./open-store.js";

const start: Start<typeof settings> = async ({ config, log, metrics, onStop }) => {
  const store = await openStore(config.databaseUrl, metrics);
  onStop(() => store.close());
  const passports = new Passports(await openPublicKeys(config.publicKeysFile), log);
  return {
    services: { "piata.cart.v1.CartService": CartServiceService },
    passports,
    controllers: [CartHandlers],
    providers: [{ provide: STORE, useValue: store }],
  };
};

export const cart = defineProgram("cart", settings, start);

if (import.meta.main) await run(cart);
