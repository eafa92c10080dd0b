// The README's purchase, typed as it stands there.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { until } from "@piata/testkit/until";

const run = promisify(execFile);

/** Buys at the shop of this URL, which is new and has the demo catalogue. */
export async function buyAsInReadme(url: string): Promise<void> {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const section = readme.slice(readme.indexOf("## Buy something"), readme.indexOf("## Test it"));
  const blocks = [...section.matchAll(/```sh\n(.*?)```/gs)].map(([, block]) => block as string);
  assert.equal(blocks.length, 5);
  const folder = await mkdtemp(join(tmpdir(), "piata-readme-"));
  try {
    const typed = async (block: string): Promise<string> => {
      const commands = block.replaceAll("http://localhost:30000/graphql", url);
      return (await run("bash", ["-euc", commands], { cwd: folder })).stdout;
    };
    await buy(blocks, typed);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function buy(blocks: string[], typed: (block: string) => Promise<string>): Promise<void> {
  assert.match(await typed(blocks[0] as string), /"registerUser":"Registered\.".*"login":"ey/s);
  assert.match(await typed(blocks[1] as string), /"unitsAvailable":.*"quantity":2/s);
  assert.match(await typed(blocks[2] as string), /"orderId":1/);
  const [, look = ""] = (blocks[2] as string).split("\n\n");
  await until(async () => /"status":"PAID"/.test(await typed(look)));

  for (const [block, status, quantity] of [
    [blocks[3], "PAYMENT_FAILED", 2],
    [blocks[4], "ITEMS_REJECTED", 999],
  ] as const) {
    await typed(block as string);
    const lookAgain = (block as string).split("\n\n").at(-1) as string;
    const end = new RegExp(`"status":"${status}".*"quantity":${quantity}\\b`, "s");
    await until(async () => end.test(await typed(lookAgain)));
  }
}
