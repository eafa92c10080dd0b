// npm test [-- <part of a file name> ...]: the checks, then every test, on a PostgreSQL of its own.
// npm run test:long does the same with the large counts: ten rounds instead of one.
import { execFile } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join, relative } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { findText, sentence } from "./files.ts";
import { endServersIn, startPostgres } from "./postgres.ts";

const TEST_TIMEOUT_MS = 120_000;
const LONG_TEST_TIMEOUT_MS = 3_600_000;
const CONCURRENCY = 3;
const root = join(import.meta.dirname, "..");
const bin = join(root, "node_modules", ".bin");

const CHECKS = [
  { name: "biome check", folder: ".", command: ["biome", "check", "."] },
  { name: "buf lint", folder: "proto", command: ["buf", "lint"] },
  { name: "tsc -p scripts", folder: ".", command: ["tsc", "-p", "scripts"] },
  { name: "tsc -p e2e", folder: ".", command: ["tsc", "-p", "e2e"] },
  { name: "tsc -p chaos", folder: ".", command: ["tsc", "-p", "chaos"] },
  { name: "tsc -p bench", folder: ".", command: ["tsc", "-p", "bench"] },
  { name: "tsc -p k8s-tests", folder: ".", command: ["tsc", "-p", "k8s-tests"] },
];

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** Compiled tests, and those that Node runs as they are. */
function testFiles(filters: readonly string[]): string[] {
  const compiled = globSync("{packages,services}/*/dist/**/*.test.js", { cwd: root })
    // The compiler leaves behind the output of a source that was removed.
    .filter((file) => existsSync(join(root, file.replace("/dist/", "/src/").replace(/js$/, "ts"))));
  const direct = globSync(["{scripts,k8s-tests,e2e,bench}/*.test.ts"], { cwd: root });
  return [...compiled.sort(), ...direct.sort()].filter(
    (file) => filters.length === 0 || filters.some((part) => isMeant(file, part)),
  );
}

// What is compiled goes by its source's name, and by the short one that the documents use:
// "services/access/src/guesses.test.ts" and "access/guesses".
function isMeant(file: string, part: string): boolean {
  const source = file.replace("/dist/", "/src/").replace(/js$/, "ts");
  return [file, source, source.replace("/src/", "/")].some((name) => name.includes(part));
}

async function runChecks(signal: AbortSignal): Promise<Counts> {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const { name, folder, command } of CHECKS) {
    const [program = "", ...args] = command;
    const start = Date.now();
    const failure = await failureOf(join(bin, program), args, {
      folder: join(root, folder),
      signal,
    });
    if (signal.aborted) break;
    console.log(`${failure === undefined ? "✔" : "✖"} ${name} (${Date.now() - start}ms)`);
    if (failure === undefined) counts.passed += 1;
    else {
      counts.failed += 1;
      console.log(failure);
    }
  }
  return counts;
}

function failureOf(
  program: string,
  args: string[],
  { folder, signal }: { folder: string; signal: AbortSignal },
): Promise<string | undefined> {
  const options = { cwd: folder, signal, maxBuffer: 64 * 1024 * 1024, shell: onWindows() };
  return new Promise((resolve) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      resolve(error === null ? undefined : `${stdout}${stderr}`.trim() || error.message);
    });
  });
}

// Only there are the programs of node_modules/.bin scripts of the shell.
function onWindows(): boolean {
  return process.platform === "win32";
}

async function runTests(files: string[], signal: AbortSignal): Promise<Counts> {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const events = run({
    files: files.map((file) => join(root, file)),
    cwd: root,
    isolation: "process",
    concurrency: CONCURRENCY,
    timeout: process.env.PIATA_TEST_LONG === "1" ? LONG_TEST_TIMEOUT_MS : TEST_TIMEOUT_MS,
    execArgv: ["--import", new URL("test-limit.ts", import.meta.url).href],
    signal,
  });
  events.on("test:summary", ({ file, counts: { tests, passed, skipped, todo } }) => {
    // Each file has a summary of its own; the last one is of all.
    if (file !== undefined) return;
    Object.assign(counts, { passed, failed: tests - passed - skipped - todo, skipped });
  });
  const report = events.compose(new spec());
  report.pipe(process.stdout, { end: false });
  await new Promise((resolve, reject) => report.once("end", resolve).once("error", reject));
  return counts;
}

async function withPostgres<T>(folder: string, use: () => Promise<T>): Promise<T> {
  const server = await startPostgres({
    dataDir: join(folder, "postgres"),
    log: join(folder, "postgres.log"),
    // The data lives as long as this run.
    settings: { fsync: "off", synchronous_commit: "off", full_page_writes: "off" },
  });
  try {
    process.env.TEST_DATABASE_URL = server.superuserUrl;
    return await use();
  } finally {
    await server.stop();
  }
}

async function main(filters: string[], signal: AbortSignal): Promise<boolean> {
  const files = testFiles(filters);
  if (files.length === 0) {
    console.error(`No test file has ${filters.join(" or ") || "the name of one"} in its name.`);
    return false;
  }
  const folder = await mkdtemp(join(tmpdir(), "piata-test-"));
  try {
    // PostgreSQL may run as another user, who has to get to its folder.
    await chmod(folder, 0o711);
    // So that whatever a test leaves behind goes with the folder.
    process.env.TMPDIR = folder;
    // The same programs are started many times over.
    process.env.NODE_COMPILE_CACHE = join(folder, "cache");
    process.env.PIATA_DID_NOT_RUN = join(folder, "did-not-run");
    process.env.PATH = `${bin}${delimiter}${process.env.PATH ?? ""}`;
    const none = { passed: 0, failed: 0, skipped: 0 };
    const checks = filters.length === 0 ? await runChecks(signal) : none;
    const tests = await withPostgres(folder, () => runTests(files, signal));
    const didNotRun = await findText(process.env.PIATA_DID_NOT_RUN);
    if (didNotRun !== undefined) {
      const lines = new Set(didNotRun.trim().split("\n"));
      console.log(`\nNot run on this machine:\n  ${[...lines].join("\n  ")}\n`);
    }
    const passed = checks.passed + tests.passed;
    const failed = checks.failed + tests.failed;
    const skipped = tests.skipped > 0 ? `, ${tests.skipped} skipped` : "";
    if (signal.aborted) console.log("\nInterrupted.");
    console.log(`${passed} passed, ${failed} failed${skipped}`);
    return failed === 0 && tests.passed > 0 && !signal.aborted;
  } finally {
    // Normally there are none: a test that is killed cannot stop what it has started.
    await endServersIn(folder);
    await rm(folder, { recursive: true, force: true });
  }
}

const interrupt = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(name, () => interrupt.abort());
}
try {
  const [first, ...rest] = process.argv.slice(2);
  const isLong = first === "--long";
  if (isLong) process.env.PIATA_TEST_LONG = "1";
  const parts = isLong || first === undefined ? rest : [first, ...rest];
  const filters = parts.map((part) => relative(root, join(root, part)));
  process.exitCode = (await main(filters, interrupt.signal)) ? 0 : 1;
} catch (error) {
  console.error(sentence(error));
  process.exitCode = 1;
}
