import assert from "node:assert/strict";
import { randomInt, randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { isFailure } from "@piata/kit/errors";
import { as } from "@piata/testkit/identity";
import { metricsOf, sumOf } from "@piata/testkit/metrics";
import { type Account, type Instance, newAccount, PASSWORD, Trial, within } from "./trial.js";

const GUESSES = process.env.PIATA_TEST_LONG === "1" ? 10_000 : 300;
const AT_ONCE = 64;
const WRONG = "incorrect horse";
const TOO_MANY = { code: "RESOURCE_EXHAUSTED", reason: "TOO_MANY_FAILED_LOGINS" };

/** An address of nobody else's. */
const newAddress = () => `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`;

interface Guess {
  instance: Instance;
  email: string;
  address: string;
  password?: string;
}

const login = ({ instance, email, address, password = WRONG }: Guess) =>
  instance.access.login({ email, password, client: { address, userAgent: "" } }, within());

/** How many of the answers there were. */
type Tally = Record<string, number>;

/** Guesses on and on, some at once, and tells how many got which answer. */
async function flood(count: number, atOnce: number, make: (i: number) => Guess): Promise<Tally> {
  const tally: Tally = {};
  let next = 0;
  const one = async () => {
    while (next < count) {
      const guess = make(next);
      next += 1;
      const reason = await login(guess).then(
        () => "SIGNED_IN",
        (error) => (isFailure(error) ? error.reason : String(error)),
      );
      tally[reason] = (tally[reason] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  return tally;
}

describe("guesses of passwords", () => {
  let trial: Trial;
  let instances: Instance[];

  before(async () => {
    trial = await Trial.open();
    instances = await Promise.all([trial.start(), trial.start(), trial.start()]);
  });
  after(() => trial.close());

  const instance = (i = 0) => instances[i % instances.length] as Instance;

  /** Real checks of passwords so far, on all instances. */
  async function checks(): Promise<number> {
    const shown = await Promise.all(instances.map(({ service }) => metricsOf(service)));
    return shown.reduce(
      (sum, each) => sum + sumOf(each, "piata_password_checks_total", () => true),
      0,
    );
  }

  /** Batches of a coalescer of the first instance, so far. */
  async function batchesOf(name: string): Promise<{ count: number; items: number }> {
    const shown = await metricsOf(instance().service);
    const of = (part: string) =>
      sumOf(shown, `piata_batch_items_${part}`, ({ batch }) => batch === name);
    return { count: of("count"), items: of("sum") };
  }

  async function checksOf(name: string, guess: () => Promise<Tally>): Promise<number> {
    const [before, startedMs] = [await checks(), performance.now()];
    const tally = await guess();
    const made = (await checks()) - before;
    const count = Object.values(tally).reduce((sum, each) => sum + each, 0);
    const rate = Math.round(count / ((performance.now() - startedMs) / 1_000));
    console.log(`${count} guesses ${name}: ${made} checked, ${rate}/s, ${JSON.stringify(tally)}`);
    assert.equal(tally.SIGNED_IN, undefined);
    assert.equal(tally.WRONG_CREDENTIALS, made);
    const known = ["WRONG_CREDENTIALS", "TOO_MANY_FAILED_LOGINS", "TOO_MANY_PASSWORD_CHECKS"];
    assert.deepEqual(
      Object.keys(tally).filter((reason) => !known.includes(reason)),
      [],
    );
    return made;
  }

  const passWindow = () =>
    trial.rows(
      `update password_guesses
          set failed_at = array(select t - interval '15 minutes' from unnest(failed_at) as t)`,
    );

  /** In their own network the owner is not bound by what strangers did. */
  async function ownerIsFree({ email }: Account, address: string): Promise<void> {
    for (let times = 0; times < 2; times += 1) {
      for (const each of instances)
        await login({ instance: each, email, address, password: PASSWORD });
    }
    await assert.rejects(login({ instance: instance(), email, address }), {
      reason: "WRONG_CREDENTIALS",
    });
    await login({ instance: instance(1), email, address, password: PASSWORD });
  }

  const forms: Record<string, { atOnce: number; make: (email: string) => (i: number) => Guess }> = {
    "one after the other": {
      atOnce: 1,
      make: (email) => () => ({ instance: instance(), email, address: "192.0.2.1" }),
    },
    "at once": {
      atOnce: AT_ONCE,
      make: (email) => () => ({ instance: instance(), email, address: "192.0.2.2" }),
    },
    "on all instances at once": {
      atOnce: AT_ONCE,
      make: (email) => (i) => ({ instance: instance(i), email, address: "192.0.2.3" }),
    },
    "from everywhere at once": {
      atOnce: AT_ONCE,
      make: (email) => (i) => ({ instance: instance(i), email, address: newAddress() }),
    },
    "from everywhere, the e-mail written in every way": {
      atOnce: AT_ONCE,
      make: (email) => (i) => ({
        instance: instance(i),
        email: [...email].map((c, at) => ((i >> (at % 12)) & 1 ? c.toUpperCase() : c)).join(""),
        address: newAddress(),
      }),
    },
    "from where nobody knows": {
      atOnce: AT_ONCE,
      make: (email) => (i) => ({ instance: instance(i), email, address: i % 2 ? "" : "unknown" }),
    },
  };
  for (const [name, { atOnce, make }] of Object.entries(forms)) {
    it(`are few ${name}, and the owner still signs in`, async () => {
      const address = newAddress();
      const account = await newAccount(instance(), address);
      const made = await checksOf(name, () => flood(GUESSES, atOnce, make(account.email)));
      assert.ok(made <= 7, `${made} checks`);
      const stranger = { instance: instance(), email: account.email, password: PASSWORD };
      await assert.rejects(login({ ...stranger, address: newAddress() }), TOO_MANY);
      await ownerIsFree(account, address);
      await passWindow();
      await login({ ...stranger, address: newAddress() });
    });
  }

  it("are as few from the owner's own network and strangers' together", async () => {
    const address = newAddress();
    const { email } = await newAccount(instance(), address);
    const made = await checksOf("from the owner's network and others", () =>
      flood(GUESSES, AT_ONCE, (i) => ({
        instance: instance(i),
        email,
        address: i % 2 ? address : newAddress(),
      })),
    );
    assert.ok(made <= 10, `${made} checks`);
    await assert.rejects(
      login({ instance: instance(), email, address, password: PASSWORD }),
      TOO_MANY,
    );
    await passWindow();
    await login({ instance: instance(), email, address, password: PASSWORD });
  });

  it("are counted alike for users that there are not", async () => {
    for (const email of [`${randomUUID()}@example.com`, `not an e-mail ${randomUUID()}\u0000`]) {
      const made = await checksOf("at nobody", () =>
        flood(GUESSES, AT_ONCE, (i) => ({ instance: instance(i), email, address: newAddress() })),
      );
      assert.equal(made, 7);
    }
  });

  it("say when to try again, in the same words for everybody", async () => {
    const { email } = await newAccount(instance());
    const texts = new Set<string>();
    for (const each of [email, `${randomUUID()}@example.com`]) {
      await flood(7, 1, () => ({ instance: instance(), email: each, address: newAddress() }));
      await assert.rejects(
        login({ instance: instance(), email: each, address: newAddress() }),
        (error) => {
          assert.ok(isFailure(error, TOO_MANY.reason));
          const seconds = Number(error.metadata.retryAfterSeconds);
          assert.ok(Number.isInteger(seconds) && seconds > 880 && seconds <= 900, `${seconds} s`);
          texts.add(error.message);
          return true;
        },
      );
    }
    assert.equal(texts.size, 1);
  });

  it("are few from one network at many accounts, and whoever is known there is not held up", async () => {
    const prefix = `2001:db8:${randomInt(0xffff).toString(16)}:1`;
    const account = await newAccount(instance(), `${prefix}::1`);
    const made = await checksOf("from one /64 at many accounts", () =>
      flood(GUESSES, AT_ONCE, (i) => ({
        instance: instance(i),
        email: `${randomUUID()}@example.com`,
        address: `${prefix}::${(i + 2).toString(16)}`,
      })),
    );
    assert.ok(made <= 100, `${made} checks`);
    const there = { instance: instance(), address: `${prefix}::ffff`, password: PASSWORD };
    await login({ ...there, email: account.email });
    const elsewhere = await newAccount(instance(), newAddress());
    await assert.rejects(login({ ...there, email: elsewhere.email }), TOO_MANY);
    await login({ ...there, email: elsewhere.email, address: newAddress() });
    await passWindow();
    await login({ ...there, email: elsewhere.email });
  });

  it("do not hold up right passwords, of which any number may come at once", async () => {
    const { email } = await newAccount(instance());
    const address = newAddress();
    const tally = await flood(60, 60, (i) => ({
      instance: instance(i),
      email,
      address,
      password: PASSWORD,
    }));
    assert.deepEqual(tally, { SIGNED_IN: 60 });
    const failed = await flood(7, 1, () => ({
      instance: instance(),
      email,
      address: newAddress(),
    }));
    assert.deepEqual(failed, { WRONG_CREDENTIALS: 7 });
  });

  it("that are right and come together share statements", async () => {
    const accounts = await Promise.all(Array.from({ length: 60 }, () => newAccount(instance())));
    const before = await batchesOf("access.take");
    const signIns = accounts.map(({ email }) =>
      login({ instance: instance(), email, address: newAddress(), password: PASSWORD }),
    );
    await Promise.all(signIns);
    const after = await batchesOf("access.take");
    assert.equal(after.items - before.items, 60);
    const count = after.count - before.count;
    assert.ok(count <= 15, `${count} batches`);
  });

  it("at a hash that nobody can read fail alone", async () => {
    const [broken, ...others] = await Promise.all([1, 2, 3, 4].map(() => newAccount(instance())));
    await trial.rows("update users set password_hash = 'no hash' where email = $1", [
      broken?.email,
    ]);
    const address = newAddress();
    const signIn = (email = "") =>
      login({ instance: instance(), email, address, password: PASSWORD });
    const failing = assert.rejects(signIn(broken?.email), { code: "INTERNAL" });
    await Promise.all([failing, ...others.map(({ email }) => signIn(email))]);
  });

  it("of the current password are counted with the others", async () => {
    const address = newAddress();
    const { user, email } = await newAccount(instance(), address);
    const change = (i: number, currentPassword = WRONG) =>
      instance(i).user.changePassword(
        { ...as(user.id), currentPassword, newPassword: "another battery", address },
        within(),
      );
    await flood(7, 7, (i) => ({ instance: instance(i), email, address: newAddress() }));
    const settled = await Promise.allSettled(Array.from({ length: 30 }, (_, i) => change(i)));
    const reasons = settled.map((each) => (each.status === "rejected" ? each.reason.reason : ""));
    assert.equal(reasons.filter((reason) => reason === "PASSWORD_WRONG").length, 3);
    assert.equal(reasons.filter((reason) => reason === TOO_MANY.reason).length, 27);
    await assert.rejects(change(0, PASSWORD), TOO_MANY);
    await passWindow();
    await change(0, PASSWORD);
  });
});
