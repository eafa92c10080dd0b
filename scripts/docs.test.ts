// The documents that can go stale are held against the code.
import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { glob, readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { configurationPage } from "./configuration.ts";
import { withRpcTable } from "./rpc-permissions.ts";

const root = new URL("../", import.meta.url);
const read = (path: string): Promise<string> => readFile(new URL(path, root), "utf8");

test("docs/configuration.md says what the programs read", async () => {
  assert.equal(
    await read("docs/configuration.md"),
    await configurationPage(),
    "run npm run gen and commit docs/configuration.md",
  );
});

test("docs/permissions.md says who may call which RPC", async () => {
  const page = await read("docs/permissions.md");
  assert.equal(page, await withRpcTable(page), "run npm run gen and commit docs/permissions.md");
});

const MADE =
  /(?:invalidArgument|unauthenticated|permissionDenied|notFound|alreadyExists)\(\s*"(\w+)"/g;
const MADE_TOO =
  /(?:failedPrecondition|aborted|resourceExhausted|deadlineExceeded|unavailable)\(\s*"(\w+)"/g;
const RULES = /reason: "([A-Z_]{4,})"/g;

/** The reasons that the sources make Failures with. */
async function reasonsInSources(): Promise<Set<string>> {
  const reasons = new Set<string>(["INTERNAL"]);
  const sources = glob(["packages/kit/src/*.ts", "services/*/src/*.ts"], {
    cwd: fileURLToPath(root),
  });
  for await (const path of sources) {
    if (/\.test\.ts$|fixture\.ts$/.test(path)) continue;
    const text = await read(path.replaceAll("\\", "/"));
    for (const pattern of [MADE, MADE_TOO, RULES]) {
      for (const [, reason] of text.matchAll(pattern)) reasons.add(reason as string);
    }
  }
  return reasons;
}

test("docs/errors.md has every reason that a program gives, and no other", async () => {
  const page = await read("docs/errors.md");
  const [, table = ""] = page.split("## Reasons");
  const documented = [...table.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, reason]) => reason);
  assert.deepEqual(documented.toSorted(), [...(await reasonsInSources())].toSorted());
});

test("docs/threats.md names tests that there are, and marks those that have large counts", async () => {
  const page = await read("docs/threats.md");
  const folders = "access|cart|catalog|discovery|gateway|order|payment|kit|e2e|scripts";
  const named = [...page.matchAll(new RegExp(`\`((?:${folders})/[\\w-]+)\`(†?)`, "g"))];
  assert.ok(named.length > 20);
  for (const [, name = "", mark] of named) {
    const [folder, file] = name.split("/");
    const path = `{packages/${folder}/src,services/${folder}/src,${folder}}/${file}.test.ts`;
    const [found] = globSync(path, { cwd: fileURLToPath(root) });
    assert.ok(found, `${name}: there is no such test`);
    const hasCounts = /env\.PIATA_TEST_LONG/.test(await read(found.replaceAll("\\", "/")));
    assert.equal(mark === "†", hasCounts, `${name}: † stands for large counts`);
  }
});

test("every file that the documents link to is there", async () => {
  const pages = glob(["*.md", "docs/**/*.md", "services/*/README.md", "k8s-*/**/*.md"], {
    cwd: fileURLToPath(root),
  });
  for await (const path of pages) {
    const page = new URL(path.replaceAll("\\", "/"), root);
    for (const [, link = ""] of (await readFile(page, "utf8")).matchAll(
      /\]\((?!http|#)([^)#]+)/g,
    )) {
      await assert.doesNotReject(
        readFile(new URL(link, page)).catch(directoryIsFine),
        `${path}: ${link}`,
      );
    }
  }
});

function directoryIsFine(error: NodeJS.ErrnoException): void {
  if (error.code !== "EISDIR") throw error;
}
