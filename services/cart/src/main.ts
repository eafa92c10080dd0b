import { CartServiceService } from "@piata/contracts/cart";
import { run } from "@piata/kit/run";
import { settings } from "./config.js";
import { CartHandlers, STORE } from "./handlers.js";
import { openStore } from "./open-store.js";

await run("cart", settings, async ({ config, metrics, onStop }) => {
  const store = await openStore(config.databaseUrl, metrics);
  onStop(() => store.close());
  return {
    services: { "piata.cart.v1.CartService": CartServiceService },
    controllers: [CartHandlers],
    providers: [{ provide: STORE, useValue: store }],
  };
});
