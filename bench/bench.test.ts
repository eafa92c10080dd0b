// What the bench counts, without a shop.
import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { seeded } from "@piata/testkit/random";
import { until } from "@piata/testkit/until";
import { FLOWS, flowOf, type World } from "./flows.ts";
import { page } from "./html.ts";
import { Lane } from "./lane.ts";
import { readOptions, UsageError } from "./options.ts";
import { median, type Result, ratioOf } from "./results.ts";
import { GROUPS, groupsWith } from "./scenarios.ts";
import { growthOf, slope } from "./soak.ts";
import { Tally } from "./tally.ts";
import { verdicts } from "./targets.ts";
import { zipf } from "./zipf.ts";

const PLACE = { lane: 0, lanes: 1, seed: 1 };
const WORLD: World = {
  url: "http://127.0.0.1:1/graphql",
  productIds: [17],
  categoryIds: [1],
  customers: [{ email: "ana@example.com", password: "correct horse", token: "t" }],
};

/** What a lane counts in front of a server, until that has answered so often. */
async function countedOf(answer: RequestListener, answers: number): Promise<Tally> {
  let answered = 0;
  const server = createServer((request, response) => {
    request.resume().on("end", () => {
      answered += 1;
      answer(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const world = { ...WORLD, url: `http://127.0.0.1:${port}/graphql` };
  const tally = new Tally();
  tally.isOn = true;
  const lane = new Lane(new URL(world.url), flowOf("product", world, PLACE), tally);
  await lane.prepare();
  lane.start();
  await until(() => answered >= answers, { what: "the answers" });
  await lane.stop();
  server.closeAllConnections();
  server.close();
  return tally;
}

const RIGHT = '{"data":{"product":{"id":17,"name":"Plums"}}}';
const WRONG: Readonly<Record<string, RequestListener>> = {
  "an error": (_, response) =>
    response.end('{"data":{"product":{"id":17,"name":null}},"errors":[{"message":"no"}]}'),
  "another product": (_, response) => response.end(RIGHT.replace("17", "18")),
  "nothing at all": (_, response) => response.end(""),
  "a refusal": (_, response) => response.writeHead(503).end(RIGHT),
  "an answer of no length": (_, response) => {
    response.write(RIGHT);
    response.end();
  },
  "a broken connection": (request) => request.socket.destroy(),
};

describe("a lane", () => {
  it("counts right answers, however they are cut on the way", async () => {
    const tally = await countedOf((_, response) => {
      response.setHeader("content-length", RIGHT.length);
      response.write(RIGHT.slice(0, 10));
      setImmediate(() => response.end(RIGHT.slice(10)));
    }, 20);
    const { count, errors, requests } = tally.figures();
    assert.ok(count >= 19, `${count}`);
    assert.equal(errors, 0);
    assert.equal(requests, 1);
  });

  for (const [what, answer] of Object.entries(WRONG)) {
    it(`counts ${what} as an error, and not as work`, async () => {
      const { count, errors, errorTexts } = (await countedOf(answer, 3)).figures();
      assert.equal(count, 0);
      assert.ok(errors >= 2, `${errors}`);
      assert.ok(errorTexts.length >= 2);
    });
  }
});

describe("the work", () => {
  it("is asked for with what a right answer begins with", () => {
    for (const name of FLOWS) {
      const { first, preparation } = flowOf(name, WORLD, PLACE);
      for (const { bytes, begins } of [...preparation, first()]) {
        const [head = "", body = ""] = bytes.toString().split("\r\n\r\n");
        assert.match(head, new RegExp(`\r\ncontent-length: ${Buffer.byteLength(body)}`));
        assert.match(begins.toString(), /^\{"data":\{"/, name);
      }
    }
  });

  it("looks at what is first twice as often as at what is second", () => {
    const next = zipf(1_000, seeded(1));
    const seen = new Map<number, number>();
    for (let at = 0; at < 100_000; at += 1) {
      const rank = next();
      seen.set(rank, (seen.get(rank) ?? 0) + 1);
    }
    const part = (seen.get(0) ?? 0) / (seen.get(1) ?? 0);
    assert.ok(part > 1.8 && part < 2.2, `${part}`);
    assert.ok(seen.size > 950, `${seen.size} of 1,000`);
    assert.ok([...seen.keys()].every((rank) => rank < 1_000));
  });

  it("of a purchase goes on until the order is PAID, and fails when it ends otherwise", () => {
    const flow = flowOf("purchase", WORLD, PLACE);
    const say = (value: string) =>
      flow.next?.(Buffer.from(`{"data":{"orderStatus":{"value":"${value}"}}}`));
    const place = () => {
      flow.first();
      assert.match(flow.next?.(Buffer.from("{}"))?.ask.bytes.toString() ?? "", /initOrder/);
      return flow.next?.(Buffer.from('{"data":{"initOrder":{"orderId":5}}}'));
    };
    assert.equal(place()?.pauseMs, 0, "it is asked for at once");
    const [first, second] = [say("CREATED"), say("APPROVED")];
    assert.equal(first?.pauseMs, 10);
    assert.equal(second?.pauseMs, 15);
    assert.equal(say("PAID"), undefined);
    place();
    assert.throws(() => say("PAYMENT_FAILED"), /PAYMENT_FAILED/);
  });
});

describe("the options", () => {
  it("that cannot be meant are refused in words", () => {
    for (const [args, words] of [
      [["--only", "produkt"], /no scenario "produkt"; there are bare, product,/],
      [["--connections", "16,many"], /--connections: "many" is not a whole number/],
      [["--connections", "0"], /from 1 to 1000/],
      [["--seconds", "0"], /--seconds: "0" is not a number from 0.1 to 60/],
      [["--soak", "10", "--only", "product"], /--soak has a load of its own/],
      [["--slow"], /Unknown option '--slow'/],
      [["fast"], /Unexpected argument 'fast'/],
    ] as const) {
      assert.throws(
        () => readOptions([...args]),
        (error) => error instanceof UsageError && words.test(error.message),
        args.join(" "),
      );
    }
  });

  it("say what is measured: each number once, in order", () => {
    assert.deepEqual(readOptions(["--connections", "64,1,64"]).connections, [1, 64]);
    assert.deepEqual(readOptions([]).connections, [1, 16, 64, 256]);
    assert.deepEqual(readOptions(["--quick"]).connections, [1, 64]);
  });

  it("bring along what a scenario is compared with", () => {
    const names = (only: string[]) =>
      groupsWith(only).flatMap(({ scenarios }) => scenarios.map(({ name }) => name));
    assert.deepEqual(names(["purchase"]), ["transactions", "purchase"]);
    assert.deepEqual(names(["add-beside"]), ["bare-beside", "product-uncached", "add-beside"]);
    assert.deepEqual(names(["bare"]), ["bare"]);
  });
});

const resultOf = (name: string, rounds: number[], more: Partial<Result> = {}): Result => {
  const scenario = GROUPS.flatMap(({ scenarios }) => scenarios).find((one) => one.name === name);
  assert.ok(scenario, name);
  return {
    group: "reads and carts",
    scenario,
    connections: 64,
    perSecond: median(rounds),
    p50Ms: 1,
    p99Ms: 9,
    requests: 1,
    cpuUs: new Map([
      ["gateway", 30],
      ["load", 10],
    ]),
    batchItems: new Map([["gateway.product", 12]]),
    besidePerSecond: undefined,
    besideErrors: 0,
    errors: 0,
    errorTexts: [],
    rounds,
    ratio: undefined,
    ...more,
  };
};

describe("what is found", () => {
  it("is a median, and a ratio is one of what was measured beside each other", () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 2, 3]), 2.5);
    // The machine was busy in the second round: it was so for both.
    const of = ratioOf(resultOf("product", [50, 5, 50]), resultOf("bare", [100, 10, 100]));
    assert.equal(of, 0.5);
    assert.equal(ratioOf(undefined, resultOf("bare", [1])), undefined);
  });

  it("grows by the slope of the line through it", () => {
    const line = [0, 1, 2, 3].map((x) => [x, 5 + 2 * x] as const);
    assert.ok(Math.abs(slope(line) - 2) < 1e-9);
    const growth = (heapAt: (minute: number) => number) => {
      const minutes = Array.from({ length: 20 }, (_, minute) => minute);
      const steps = minutes.map((minute) => ({
        minute,
        heap: new Map([["gateway", heapAt(minute)]]),
      }));
      return growthOf(steps).get("gateway") ?? Number.NaN;
    };
    // What a heap does while it fills for the first time is no growth, nor what waits to be collected.
    assert.equal(
      growth((minute) => Math.min(10 * minute, 80)),
      0,
    );
    assert.equal(
      growth((minute) => (minute % 2 === 0 ? 80 : 200)),
      0,
    );
    const leak = growth((minute) => 80 + 3 * minute + (minute % 2 === 0 ? 0 : 100));
    assert.ok(leak > 25 && leak < 35, `${leak}`);
  });

  it("is held against the targets, and told on a page that shows what was said by others as text", () => {
    const results = [resultOf("bare", [100]), resultOf("product", [30], { ratio: 0.3 })];
    const starts = { newMs: 6_000, againMs: 4_000 };
    const idle = new Map([["gateway", 80]]);
    const found = verdicts({ results, starts, isCompact: false, idle });
    const isMet = (words: RegExp) => found.find(({ what }) => words.test(what))?.isMet;
    assert.equal(isMet(/product by id, of bare/), true);
    assert.equal(isMet(/start of a new shop/), false);
    assert.equal(isMet(/whole purchase, of/), undefined);
    const text = page({ about: ["<b>&"], idle, starts, results, verdicts: found });
    assert.ok(text.includes("&lt;b&gt;&amp;"));
    assert.ok(text.includes("<svg") && !text.includes("NaN") && !text.includes("undefined"));
  });
});
