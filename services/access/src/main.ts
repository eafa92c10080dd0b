import { AccessServiceService } from "@piata/contracts/access";
import { CartServiceService } from "@piata/contracts/cart";
import { UserServiceService } from "@piata/contracts/user";
import { batched } from "@piata/kit/batch";
import { migrate } from "@piata/kit/migrate";
import { Passports } from "@piata/kit/passport";
import { Database } from "@piata/kit/pg";
import { defineProgram, type Start } from "@piata/kit/program";
import { openPublicKeys } from "@piata/kit/public-keys";
import { run } from "@piata/kit/run";
import { settings } from "./config.js";
import { GuessStore } from "./guess-store.js";
import { Guesses } from "./guesses.js";
import { AccessHandlers, UserHandlers } from "./handlers.js";
import { Passwords } from "./passwords.js";
import { Revocations } from "./revocations.js";
import { SessionStore } from "./session-store.js";
import { Sessions } from "./sessions.js";
import { openSigningKey } from "./signing-key.js";
import { AccessStore } from "./store.js";
import { AccessTokens, CLOCK_TOLERANCE_SECONDS } from "./tokens.js";
import { Upkeep } from "./upkeep.js";

const start: Start<typeof settings> = async ({ config, log, metrics, connect, onStop }) => {
  const { databaseUrl, accessTokenSeconds } = config;
  const publicKeys = await openPublicKeys(config.publicKeysFile);
  const accessTokens = await AccessTokens.open({
    key: await openSigningKey(config.signingKeyFile),
    publicKeys,
    lifetimeSeconds: accessTokenSeconds,
  });
  await migrate(databaseUrl, new URL("../migrations/", import.meta.url));
  const db = new Database(databaseUrl, { program: "access", metrics });
  onStop(() => db.close());
  const users = new AccessStore(db, metrics);
  const store = new SessionStore(db, metrics, config);
  const guessStore = new GuessStore(db, metrics);
  const passwords = await Passwords.open(
    { atOnce: config.passwordChecksAtOnce, waitingMax: config.passwordChecksWaiting },
    metrics,
  );
  const guesses = new Guesses({
    store: guessStore,
    passwords,
    limits: {
      perAccount: config.guessesPerAccount,
      byStrangers: config.guessesByStrangers,
      perNetwork: config.guessesPerNetwork,
    },
    metrics,
  });

  const cart = connect("cart", config.cartTarget).client(CartServiceService);
  const erase = batched(cart.batchErase, { name: "cart.erase", metrics });
  const upkeep = new Upkeep({
    users,
    sessions: store,
    guesses: guessStore,
    eraseCart: (context) => erase(context, {}),
    log,
  });
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
    passports: new Passports(publicKeys, log),
    controllers: [AccessHandlers, UserHandlers],
    providers: [
      { provide: AccessStore, useValue: users },
      { provide: Passwords, useValue: passwords },
      { provide: Revocations, useValue: revocations },
      {
        provide: Sessions,
        useValue: new Sessions({ users, store, passwords, guesses, accessTokens, revocations }),
      },
      { provide: Upkeep, useValue: upkeep },
    ],
  };
};

export const access = defineProgram("access", settings, start);

if (import.meta.main) await run(access);
