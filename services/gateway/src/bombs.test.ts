import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import { closedLoop, LoadClient, openLoop, Tally } from "@piata/testkit/load-generator";
import { metricsOf, sumOf } from "@piata/testkit/metrics";
import { bombs } from "./bombs.fixture.js";
import { type Answer, newPerson, newProduct, type Shop, startShop } from "./fixture.js";

const isLong = process.env.PIATA_TEST_LONG === "1";
/** In `npm test` other tests run beside this one, and times mean little. */
const LIMITS = isLong
  ? { rounds: 5, windows: 6, windowMs: 2_000, refusedMs: 10, speed: 2 / 3 }
  : { rounds: 1, windows: 2, windowMs: 500, refusedMs: 1_000, speed: 0.2 };
const BOMBS = 200;
const BOMBS_PER_SECOND = 100;
const HONEST = 8;
const SERVICES = ["access", "catalog", "cart", "order", "payment"] as const;
const REFUSALS = new Set([
  "BATCH_TOO_LARGE",
  "BODY_TOO_LARGE",
  "DOCUMENT_TOO_LARGE",
  "GRAPHQL_INVALID",
  "INTROSPECTION_OFF",
]);

describe("query bombs", () => {
  let shop: Shop;
  let client: LoadClient;
  let honest: Buffer;

  before(async () => {
    shop = await startShop();
    client = new LoadClient(shop.url);
    const person = await newPerson(shop.url);
    const id = await newProduct(shop.url, person);
    const query = `{ product(id: ${id}) { id name price unitsAvailable } me { id } }`;
    honest = client.request(JSON.stringify({ query }), person.token);
  });
  after(async () => {
    client.close();
    await shop.stop();
  });

  /** The calls that the services have answered for the gateway. */
  async function callsAnswered(): Promise<number> {
    const counts = SERVICES.map(async (service) =>
      sumOf(await metricsOf(shop.programs[service]), "piata_answered_total", () => true),
    );
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  }

  const requests = () =>
    bombs(BOMBS).map(({ name, body }) => ({ name, body: client.request(body) }));

  async function explode(body: Buffer, name: string): Promise<string> {
    const { status, body: text } = await client.send(body);
    const { data, errors = [] } = JSON.parse(text()) as Partial<Answer>;
    const [error] = errors;
    assert.ok(status === 400 || status === 413, `${name}: HTTP ${status}`);
    assert.equal(data, undefined, name);
    assert.equal(error?.extensions.code, "INVALID_ARGUMENT", name);
    assert.ok(REFUSALS.has(error.extensions.reason), `${name}: ${text()}`);
    assert.ok(text().length < 20_000, `${name}: an answer of ${text().length} characters`);
    return error.extensions.reason;
  }

  it("are all refused at once, and no service hears of them", async () => {
    const calls = await callsAnswered();
    const all = requests();
    // As after a while: a gateway that has just been started compiles itself first.
    if (isLong) for (const { name, body } of all) await explode(body, name);
    const tally = new Tally();
    for (let round = 0; round < LIMITS.rounds; round++) {
      for (const { name, body } of all) {
        const start = performance.now();
        const reason = await explode(body, name);
        tally.add("refused", performance.now() - start);
        tally.add(reason, performance.now() - start);
      }
    }
    assert.equal(await callsAnswered(), calls);
    const p99 = tally.quantileMs("refused", 0.99);
    console.log(`${all.length} query bombs, ${LIMITS.rounds} times each: ${tally}`);
    assert.ok(p99 < LIMITS.refusedMs, `p99 is ${p99} ms`);
  });

  it("leave honest requests most of their speed", async (t: TestContext) => {
    const all = requests();
    let next = 0;
    const bomb = async () => {
      const { body, name } = all[next++ % all.length] as (typeof all)[number];
      await explode(body, name);
      return "refused";
    };
    const ask = async () => {
      const { status, body } = await client.send(honest);
      return status === 200 && !body().includes('"errors"') ? "ok" : `${status} ${body()}`;
    };
    const { windows, windowMs } = LIMITS;
    await closedLoop(HONEST, windowMs, ask);
    const counts = { quiet: 0, bombed: 0 };
    const refusals: string[] = [];
    for (let window = 0; window < windows; window++) {
      counts.quiet += okOnly(await closedLoop(HONEST, windowMs, ask));
      const [bombed, refused] = await Promise.all([
        closedLoop(HONEST, windowMs, ask),
        openLoop(BOMBS_PER_SECOND, windowMs, bomb),
      ]);
      counts.bombed += okOnly(bombed);
      assert.deepEqual(refused.outcomes, ["refused"]);
      refusals.push(String(refused));
    }
    const speed = counts.bombed / counts.quiet;
    const perSecond = (count: number) => Math.round((count / windows / windowMs) * 1_000);
    console.log(
      `${BOMBS_PER_SECOND} bombs a second: honest requests ${perSecond(counts.bombed)}/s, ` +
        `without ${perSecond(counts.quiet)}/s: ${speed.toFixed(2)}`,
    );
    t.diagnostic(refusals.join("; "));
    const half = perSecond(counts.quiet) / 2;
    const [answered, refused] = await Promise.all([
      openLoop(half, windows * windowMs, ask),
      openLoop(BOMBS_PER_SECOND, windows * windowMs, bomb),
    ]);
    console.log(`the same beside ${Math.round(half)} honest requests a second: ${refused}`);
    assert.ok(okOnly(answered) > 0);
    assert.ok(speed >= LIMITS.speed, `${speed} of the speed`);
  });
});

function okOnly(tally: Tally): number {
  assert.deepEqual(tally.outcomes, ["ok"]);
  return tally.count("ok");
}
