import { AccessServiceService } from "@piata/contracts/access";
import { CartServiceService } from "@piata/contracts/cart";
import { UserServiceService } from "@piata/contracts/user";
import { batched } from "@piata/kit/batch";
import { migrate } from "@piata/kit/migrate";
import { Database } from "@piata/kit/pg";
import { run } from "@piata/kit/run";
import { settings } from "./config.js";
import { AccessHandlers, UserHandlers } from "./handlers.js";
import { Passwords } from "./passwords.js";
import { Revocations } from "./revocations.js";
import { Sessions } from "./sessions.js";
import { AccessStore } from "./store.js";
import { AccessTokens, CLOCK_TOLERANCE_SECONDS } from "./tokens.js";
import { Upkeep } from "./upkeep.js";

await run("access", settings, async ({ config, log, metrics, connect, onStop }) => {
  const { databaseUrl, accessTokenSeconds } = config;
  const accessTokens = await AccessTokens.open(config.signingKeyFile, accessTokenSeconds);
  await migrate(databaseUrl, new URL("../migrations/", import.meta.url));
  const db = new Database(databaseUrl, { program: "access", metrics });
  onStop(() => db.close());
  const store = new AccessStore(db, config);
  const passwords = await Passwords.open({
    atOnce: config.passwordChecksAtOnce,
    waitingMax: config.passwordChecksWaiting,
  });

  const cart = connect("cart", config.cartTarget).client(CartServiceService);
  const erase = batched(cart.batchErase, { name: "cart.erase", metrics });
  const upkeep = new Upkeep({ store, eraseCart: (context) => erase(context, {}), log });
  onStop(() => upkeep.stop());

  const revocations = new Revocations({
    findEnded: (seconds) => store.findEnded(seconds),
    // Twice the tolerance: the clock that signs and the one that checks may both be off.
    relevantSeconds: accessTokenSeconds + 2 * CLOCK_TOLERANCE_SECONDS,
    log,
  });
  onStop(() => revocations.close());

  return {
    services: {
      "piata.access.v1.AccessService": AccessServiceService,
      "piata.user.v1.UserService": UserServiceService,
    },
    controllers: [AccessHandlers, UserHandlers],
    providers: [
      { provide: AccessStore, useValue: store },
      { provide: Passwords, useValue: passwords },
      { provide: Revocations, useValue: revocations },
      {
        provide: Sessions,
        useValue: new Sessions({ store, passwords, accessTokens, revocations }),
      },
      { provide: Upkeep, useValue: upkeep },
    ],
  };
});
