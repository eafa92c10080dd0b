/** Guessing passwords through the gateway; the limits themselves are access's, and tested there. */
import assert from "node:assert/strict";
import { randomInt, randomUUID } from "node:crypto";
import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { Secret } from "@piata/kit/config";
import { Database, statement } from "@piata/kit/pg";
import { createTestDatabase, type TestDatabase } from "@piata/testkit/database";
import { metricsOf, sumOf } from "@piata/testkit/metrics";
import { type RunningService, startService } from "@piata/testkit/service";
import { type Answer, startGateway } from "./fixture.js";

const GUESSES = process.env.PIATA_TEST_LONG === "1" ? 10_000 : 200;
const AT_ONCE = 32;
/** As many as a document may have root fields. */
const ALIASES = 20;
const PASSWORD = "correct horse battery";
/** Whoever has one machine has all of these; others have 127.0.0.1 only. */
const isLinux = process.platform === "linux";
const HOME = isLinux ? "127.0.0.2" : "127.0.0.1";
const newAddress = () =>
  isLinux ? `127.${randomInt(1, 255)}.${randomInt(256)}.${randomInt(1, 255)}` : "127.0.0.1";

interface Credentials {
  email: string;
  password: string;
}
interface From {
  address?: string;
  headers?: Record<string, string>;
}

describe("guesses of passwords through the gateway", () => {
  let database: TestDatabase;
  let db: Database;
  let accesses: RunningService[];
  let gateways: RunningService[];
  const agents = new Map<string, Agent>();

  before(async () => {
    database = await createTestDatabase({ template: "gateway_empty" });
    db = new Database(new Secret(database.url), { program: "gateway-test", connectionsMax: 1 });
    const env = { ACCESS_DATABASE_URL: database.url, CART_TARGET: "127.0.0.1:1" };
    accesses = await Promise.all([1, 2].map(() => startService("access", env)));
    const access = `ipv4:${accesses.map(({ address }) => address).join(",")}`;
    gateways = await Promise.all(
      [1, 2].map(() => startGateway({ ACCESS_TARGET: access, GATEWAY_BATCH_MAX: String(ALIASES) })),
    );
  });
  after(async () => {
    for (const agent of agents.values()) agent.destroy();
    for (const group of [gateways, accesses]) await Promise.all(group.map((each) => each.stop()));
    await db.close();
    await database.drop();
  });

  /** One of few addresses keeps its connections. */
  function agentOf(localAddress: string): Agent {
    const agent = agents.get(localAddress) ?? new Agent({ localAddress, keepAlive: true });
    if (agents.size < 10) agents.set(localAddress, agent);
    return agent;
  }

  const ask = (query: string, variables: object, from?: From): Promise<Partial<Answer>> =>
    post({ query, variables }, from);

  async function post<Answered>(
    asked: object,
    { address = "127.0.0.1", headers = {} }: From = {},
  ): Promise<Answered> {
    const gateway = gateways[randomInt(gateways.length)] as RunningService;
    const agent = agentOf(address);
    const body = JSON.stringify(asked);
    const response = await new Promise<Answered>((resolve, reject) => {
      const sent = request(
        `http://${gateway.address}/graphql`,
        { method: "POST", agent, headers: { "content-type": "application/json", ...headers } },
        (answer) => text(answer).then((json) => resolve(JSON.parse(json)), reject),
      );
      sent.on("error", reject).end(body);
    });
    if (agents.get(address) !== agent) agent.destroy();
    return response;
  }

  /** What each sign-in of one document came to, by reason. */
  async function signIn(guesses: Credentials[], from?: From): Promise<string[]> {
    const declared = guesses.map((_, i) => `$g${i}: AuthLoginInput!`).join(" ");
    const fields = guesses.map((_, i) => `g${i}: login(input: $g${i})`).join(" ");
    const variables = Object.fromEntries(guesses.map((guess, i) => [`g${i}`, guess]));
    const { data, errors = [] } = await ask(
      `mutation (${declared}) { ${fields} }`,
      variables,
      from,
    );
    const refused = errors.map(({ extensions }) => extensions.reason);
    // A field that may not be null takes all others' answers with it, whether they were done or not.
    const rest = data ? "SIGNED_IN" : "NOT_TOLD";
    return [...refused, ...new Array<string>(guesses.length - refused.length).fill(rest)];
  }

  /** The same, of a list of operations. */
  async function signInByList(guesses: Credentials[], from?: From): Promise<string[]> {
    const query = "mutation ($input: AuthLoginInput!) { login(input: $input) }";
    const list = guesses.map((input) => ({ query, variables: { input } }));
    const answers = await post<Partial<Answer>[]>(list, from);
    return answers.map(({ errors: [error] = [] }) => error?.extensions.reason ?? "SIGNED_IN");
  }

  async function newUser(): Promise<string> {
    const email = `${randomUUID()}@example.com`;
    const input = { email, password: PASSWORD };
    const { errors } = await ask(
      "mutation ($input: RegisterUserInput!) { registerUser(input: $input) }",
      { input },
    );
    assert.equal(errors, undefined);
    assert.deepEqual(await signIn([input], { address: HOME }), ["SIGNED_IN"]);
    return email;
  }

  async function checks(): Promise<number> {
    const shown = await Promise.all(accesses.map(metricsOf));
    return shown.reduce(
      (sum, each) => sum + sumOf(each, "piata_password_checks_total", () => true),
      0,
    );
  }

  const passWindow = () =>
    db.rows(
      statement(
        "",
        `update password_guesses
            set failed_at = array(select t - interval '15 minutes' from unnest(failed_at) as t)`,
      ),
    );

  /** Guesses on and on; tells how many were checked. */
  async function guess(name: string, email: string, form: Form): Promise<number> {
    const [before, startedMs] = [await checks(), performance.now()];
    const { atOnce = AT_ONCE, perRequest = 1, isList = false, from = () => ({}) } = form;
    const send = isList ? signInByList : signIn;
    const tally: Record<string, number> = {};
    let left = GUESSES;
    const one = async () => {
      while (left > 0) {
        left -= perRequest;
        const guesses = Array.from({ length: perRequest }, () => ({
          email,
          password: randomUUID(),
        }));
        for (const reason of await send(guesses, from())) tally[reason] = (tally[reason] ?? 0) + 1;
      }
    };
    await Promise.all(Array.from({ length: atOnce }, one));
    const made = (await checks()) - before;
    const rate = Math.round(GUESSES / ((performance.now() - startedMs) / 1_000));
    console.log(`${GUESSES} guesses ${name}: ${made} checked, ${rate}/s, ${JSON.stringify(tally)}`);
    assert.equal(tally.SIGNED_IN, undefined);
    // On a busy machine a check can outlive the patience of who asked for it.
    assert.ok((tally.WRONG_CREDENTIALS ?? 0) <= made);
    return made;
  }

  interface Form {
    atOnce?: number;
    perRequest?: number;
    isList?: boolean;
    from?: () => From;
  }
  const forged = (): From => {
    const address = randomInt(2) ? HOME : `203.0.113.${randomInt(256)}`;
    return {
      headers: {
        "x-forwarded-for": address,
        forwarded: `for=${address}`,
        "x-real-ip": address,
        "x-client-ip": address,
        "cf-connecting-ip": address,
        "true-client-ip": address,
      },
    };
  };
  const forms: Record<string, Form> = {
    "one after the other": { atOnce: 1 },
    "at once": {},
    "as aliases of one document": { atOnce: 1, perRequest: ALIASES },
    "as aliases of many documents at once": { perRequest: ALIASES },
    "as lists of operations": { perRequest: ALIASES, isList: true },
    "with forged forwarding headers": { from: forged },
    "from many addresses": { from: () => ({ address: newAddress() }) },
  };
  for (const [name, form] of Object.entries(forms)) {
    it(`are few ${name}, and the owner still signs in`, async () => {
      const email = await newUser();
      const made = await guess(name, email, form);
      assert.ok(made <= (isLinux ? 7 : 10), `${made} checks`);
      const owner = { email, password: PASSWORD };
      if (isLinux) {
        const tooMany = ["TOO_MANY_FAILED_LOGINS"];
        assert.deepEqual(await signIn([owner], { address: "127.0.0.3" }), tooMany);
        assert.deepEqual(await signIn([owner], { address: HOME }), ["SIGNED_IN"]);
      }
      await passWindow();
      assert.deepEqual(await signIn([owner], { address: "127.0.0.3" }), ["SIGNED_IN"]);
    });
  }

  it("are counted alike for users that there are not", async () => {
    assert.equal(await guess("at nobody", `${randomUUID()}@example.com`, {}), 7);
    await passWindow();
  });

  it("say in how many seconds to try again", async () => {
    const input = { email: `${randomUUID()}@example.com`, password: PASSWORD };
    for (let times = 0; times < 7; times += 1) {
      await signIn([{ ...input, password: randomUUID() }]);
    }
    const { errors = [] } = await ask(
      "mutation ($input: AuthLoginInput!) { login(input: $input) }",
      { input },
    );
    const { code, reason, metadata } = errors[0]?.extensions ?? {};
    assert.deepEqual([code, reason], ["RESOURCE_EXHAUSTED", "TOO_MANY_FAILED_LOGINS"]);
    assert.match(metadata?.retryAfterSeconds ?? "", /^8\d\d$|^900$/);
  });
});
