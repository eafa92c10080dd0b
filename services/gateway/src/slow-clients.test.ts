import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { closedLoop, LoadClient, type Tally } from "@piata/testkit/load-generator";
import { newPerson, newProduct, type Shop, startShop } from "./fixture.js";

const isLong = process.env.PIATA_TEST_LONG === "1";
/** In `npm test` other tests run beside this one. */
const SLOW = isLong
  ? { headers: 250, bodies: 250, readers: 50, requestsMax: 128, p99Times: 5 }
  : { headers: 20, bodies: 20, readers: 5, requestsMax: 16, p99Times: 20 };
const BYTE_EACH_MS = 400;
const CLOSED_WITHIN_MS = 15_000;
const IMAGE_BYTES = 16_000_000;
const WORKERS = 4;

interface Slow {
  kind: "headers" | "bodies" | "readers";
  answer: string;
  tookMs: number;
}

describe("clients that are slow on purpose", () => {
  let shop: Shop;
  let imagesDir: string;
  let port: number;
  let honest: LoadClient;
  let question: Buffer;

  before(async () => {
    imagesDir = await mkdtemp(join(tmpdir(), "piata-images-"));
    await writeFile(join(imagesDir, "large.png"), "");
    await truncate(join(imagesDir, "large.png"), IMAGE_BYTES);
    shop = await startShop({
      GATEWAY_IMAGES_DIR: imagesDir,
      GATEWAY_REQUESTS_MAX: String(SLOW.requestsMax),
      LOG_LEVEL: "warn",
    });
    port = Number(new URL(shop.url).port);
    honest = new LoadClient(shop.url);
    const id = await newProduct(shop.url, await newPerson(shop.url));
    question = honest.request(JSON.stringify({ query: `{ product(id: ${id}) { id name } }` }));
  });
  after(async () => {
    honest.close();
    await shop.stop();
    await rm(imagesDir, { recursive: true });
  });

  const askedFor = (durationMs: number): Promise<Tally> =>
    closedLoop(WORKERS, durationMs, async () => {
      const { status } = await honest.send(question);
      return status === 200 ? "ok" : String(status);
    });

  /** Opens a connection that is as slow as it can be; resolves when the gateway has closed it. */
  async function slow(kind: Slow["kind"]): Promise<{ closed: Promise<Slow> }> {
    const socket = connect(port, "127.0.0.1").on("error", () => undefined);
    await once(socket, "connect");
    const start = performance.now();
    const { dripping, answered } = DRIPS[kind](socket);
    const closed = new Promise<Slow>((resolve) => {
      socket.once("close", () => {
        clearInterval(dripping);
        resolve({ kind, answer: answered(), tookMs: performance.now() - start });
      });
    });
    return { closed };
  }

  it("are cut off, and nobody else notices", async () => {
    await askedFor(1_000);
    const calm = await askedFor(2_000);
    const kinds = (["headers", "bodies", "readers"] as const).flatMap((kind) =>
      Array<Slow["kind"]>(SLOW[kind]).fill(kind),
    );
    const opened: Promise<Slow>[] = [];
    for (const kind of kinds) opened.push((await slow(kind)).closed);
    const storm = await askedFor(9_000);
    const ended = await Promise.all(opened);

    const [p99, p99Calm] = [storm, calm].map((tally) => tally.quantileMs("ok", 0.99));
    for (const kind of ["headers", "bodies", "readers"] as const) {
      const took = ended.filter((one) => one.kind === kind).map(({ tookMs }) => tookMs);
      const [first, last] = [Math.min(...took), Math.max(...took)].map(Math.round);
      console.log(`${took.length} slow ${kind}: closed after ${first} to ${last} ms`);
      assert.equal(took.length, SLOW[kind]);
      assert.ok((last ?? 0) < CLOSED_WITHIN_MS, kind);
    }
    console.log(`honest requests before: ${calm}; meanwhile: ${storm}`);
    assert.deepEqual(storm.outcomes, ["ok"]);
    assert.ok((p99 ?? 0) <= SLOW.p99Times * (p99Calm ?? 0) + 50, `${p99} ms, ${p99Calm} before`);
    const told = ended.filter(({ answer }) => /^HTTP\/1.1 408 .*"REQUEST_TIMEOUT"/s.test(answer));
    const couldBe = SLOW.headers + SLOW.bodies;
    assert.ok(told.length >= 0.9 * couldBe, `${told.length} of ${couldBe} were told why`);
  });
});

interface Drip {
  dripping: NodeJS.Timeout;
  answered(): string;
}

/** Writes the beginning of a request, and more of it as slowly as can be. */
function writing(socket: Socket, begin: string, more: string): Drip {
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    answer += text;
  });
  socket.write(begin);
  const dripping = setInterval(() => socket.write(more), BYTE_EACH_MS);
  return { dripping, answered: () => answer };
}

const HEAD = "POST /graphql HTTP/1.1\r\nhost: x\r\n";
const DRIPS: Record<Slow["kind"], (socket: Socket) => Drip> = {
  headers: (socket) => writing(socket, HEAD, "a: b\r\n"),
  bodies: (socket) => {
    const head = `${HEAD}content-type: application/json\r\ncontent-length: 5000\r\n\r\n`;
    return writing(socket, head, " ");
  },
  readers: (socket) => {
    socket.write("GET /images/large.png HTTP/1.1\r\nhost: x\r\n\r\n");
    // Who does not read does not see the end either, unless it writes.
    const dripping = setInterval(() => {
      socket.read(100);
      socket.write("\r\n");
    }, BYTE_EACH_MS);
    return { dripping, answered: () => "" };
  },
};
