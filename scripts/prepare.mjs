// What npm start and npm test need before they can run: a Node that is new enough, the packages of
// package-lock.json, the compiled programs. Plain JavaScript for whatever Node there is.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const NODE_MAJOR_MIN = 20;
const FAILURE_LINES_MAX = 40;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, "node_modules", ".bin");

checkNode();
if (!isInstalled()) install();
compile();

function checkNode() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major >= NODE_MAJOR_MIN) return;
  fail(
    `piata needs Node ${NODE_MAJOR_MIN} or newer to begin with; this is ${process.version}. ` +
      "Install a newer one from https://nodejs.org and try again.",
  );
}

/**
 * Whether node_modules holds what package-lock.json names. npm writes its own list as the last
 * thing of an install, so an install that was cut short has none.
 */
function isInstalled() {
  if (!existsSync(join(bin, "node")) && !existsSync(join(bin, "node.cmd"))) return false;
  const wanted = packagesOf("package-lock.json");
  const present = packagesOf(join("node_modules", ".package-lock.json"));
  return Object.entries(wanted).every(([path, want]) => {
    const have = present[path];
    // Packages for other operating systems are optional, and left out.
    if (have === undefined) return want.optional === true || !path.includes("node_modules/");
    return have.version === want.version && have.integrity === want.integrity;
  });
}

/**
 * @param {string} file
 * @returns {Record<string, { version?: string, integrity?: string, optional?: boolean }>}
 */
function packagesOf(file) {
  const path = join(root, file);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).packages : {};
}

function install() {
  step("Installing the packages of package-lock.json", () => {
    // No package of ours needs its install script.
    const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    const npm = process.env.npm_execpath;
    if (npm?.endsWith(".js")) return run(process.execPath, [npm, ...args]);
    return run("npm", args, { shell: process.platform === "win32" });
  });
  if (isInstalled()) return;
  fail(
    "The installed packages are not those of package-lock.json. Perhaps npm is set to omit " +
      "optional packages (Node 26 and PostgreSQL are among them), or has none for this machine.",
  );
}

function compile() {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const isFirst = !existsSync(join(root, "services", "gateway", "dist", "main.js"));
  const build = () => run(join(bin, "node"), [tsc, "-b"], { shell: process.platform === "win32" });
  if (isFirst) return step("Compiling", build);
  const { status, output } = build();
  if (status !== 0) fail(`The code does not compile:\n${output}`);
}

/**
 * @param {string} what
 * @param {() => { status: number | null, output: string }} work
 */
function step(what, work) {
  const start = Date.now();
  process.stdout.write(`${what} … `);
  const { status, output } = work();
  process.stdout.write(`${status === 0 ? "done" : "failed"} in ${seconds(Date.now() - start)}\n`);
  // What went wrong comes first; npm lets its usage follow.
  if (status !== 0) fail(output.split("\n").slice(0, FAILURE_LINES_MAX).join("\n"));
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{ shell?: boolean }} [options]
 */
function run(command, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` },
    ...options,
  });
  return { status, output: error ? error.message : `${stdout}${stderr}`.trim() };
}

/** @param {number} ms */
function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
