import assert from "node:assert/strict";
import { randomInt, randomUUID } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { after, before, describe, it } from "node:test";
import { type Account, type Instance, newAccount, PASSWORD, Trial, within } from "./trial.js";

const isLong = process.env.PIATA_TEST_LONG === "1";
/** More than may wait. */
const AT_ONCE = 120;
const ASKED = isLong ? 2_000 : 100;
const TIMED = isLong ? 200 : 40;
/** How much slower others may become: the machine has few cores, of which the flood takes two. */
const RATIO_MAX = 10;
/** In `npm test` other tests run beside this one; in the long run it is alone. */
const FAIR_MS = isLong ? 50 : 500;

const newAddress = () => `10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`;
const HOME = "192.0.2.1";
const newEmail = () => `${randomUUID()}@example.com`;

interface Times {
  medianMs: number;
  p95Ms: number;
}

/** How long something takes, asked for one after the other. */
async function timesOf(count: number, ask: (i: number) => Promise<unknown>): Promise<Times> {
  const times: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const startMs = performance.now();
    await ask(i);
    times.push(performance.now() - startMs);
  }
  times.sort((one, other) => one - other);
  const at = (share: number) => times[Math.floor(times.length * share)] as number;
  return { medianMs: at(0.5), p95Ms: at(0.95) };
}

const shown = ({ medianMs, p95Ms }: Times) =>
  `median ${medianMs.toFixed(1)} ms, p95 ${p95Ms.toFixed(1)} ms`;

describe("a flood of sign-ins", () => {
  let trial: Trial;
  let instance: Instance;
  let account: Account;

  before(async () => {
    trial = await Trial.open();
    instance = await trial.start();
    account = await newAccount(instance, HOME);
  });
  after(() => trial.close());

  const login = (email: string, address: string, password = "incorrect horse") =>
    instance.access.login({ email, password, client: { address, userAgent: "" } }, within());

  it("for many accounts from many addresses slows nothing else, and leaves places to owners", async () => {
    const items = [{ accessToken: account.tokens.accessToken }];
    const authenticate = () => instance.access.batchAuthenticate({ items }, within());
    await timesOf(50, authenticate);
    const quiet = await timesOf(ASKED, authenticate);

    let flooding = true;
    const tally: Record<string, number> = {};
    const checked = new EventEmitter().setMaxListeners(AT_ONCE);
    const guess = async () => {
      while (flooding) {
        const reason = await login(newEmail(), newAddress()).catch((error) => error.reason);
        tally[reason] = (tally[reason] ?? 0) + 1;
        // Who is refused comes again with the next password that is checked: a client that did
        // nothing but come again would measure itself.
        if (reason === "WRONG_CREDENTIALS") checked.emit("one");
        else await once(checked, "one");
      }
    };
    const guesses = Array.from({ length: AT_ONCE }, guess);
    await timesOf(20, authenticate);
    await login(account.email, HOME, PASSWORD);
    const flooded = await timesOf(ASKED, authenticate);
    flooding = false;
    checked.emit("one");
    await Promise.all(guesses);

    console.log(`batchAuthenticate alone: ${shown(quiet)}`);
    console.log(`batchAuthenticate in a flood: ${shown(flooded)}; ${JSON.stringify(tally)}`);
    assert.ok(flooded.medianMs < Math.max(RATIO_MAX * quiet.medianMs, FAIR_MS));
    // A machine that has other things to do lets some wait for too long.
    const expected = ["TOO_MANY_PASSWORD_CHECKS", "WRONG_CREDENTIALS", "DEADLINE"];
    assert.deepEqual(
      Object.keys(tally).filter((reason) => !expected.includes(reason)),
      [],
    );
  });

  it("takes as long for accounts that there are as for those that there are not", async () => {
    const accounts = await Promise.all(Array.from({ length: TIMED }, () => newAccount(instance)));
    const guess = (email: string) =>
      assert.rejects(login(email, newAddress()), { reason: "WRONG_CREDENTIALS" });
    const emails = accounts.flatMap(({ email }) => [email, newEmail()]);
    // In turns, so that whatever else the machine does falls on both.
    const times: Times[] = [];
    const all = { known: [] as number[], unknown: [] as number[] };
    for (const [i, email] of emails.entries()) {
      const { medianMs } = await timesOf(1, () => guess(email));
      (i % 2 === 0 ? all.known : all.unknown).push(medianMs);
    }
    for (const each of [all.known, all.unknown]) {
      each.sort((one, other) => one - other);
      times.push({ medianMs: each[each.length >> 1] as number, p95Ms: each.at(-2) as number });
    }
    const [known, unknown] = times as [Times, Times];
    console.log(`${TIMED} wrong passwords: known ${shown(known)}; unknown ${shown(unknown)}`);
    const ratio = known.medianMs / unknown.medianMs;
    assert.ok(ratio > 0.67 && ratio < 1.5, `ratio ${ratio}`);
  });
});
