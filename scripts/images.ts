// npm run images [-- --base IMAGE]: the image of every program and of the setup program.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { PROGRAMS } from "@piata/setup/programs";
import { sentence } from "./files.ts";

const USAGE = "npm run images -- [--base IMAGE]   (any with Node 26 and npm)";
const MEGABYTE = 1_000_000;
const root = join(import.meta.dirname, "..");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  version: string;
};

/** What is built, and from which folder. */
export const IMAGES: readonly { service: string; folder: string; image: string }[] = [
  ...PROGRAMS.map((service) => ({ service, folder: `services/${service}` })),
  { service: "setup", folder: "packages/setup" },
].map((built) => ({ ...built, image: `piata/${built.service}:${version}` }));

/** Builds them all, one after the other: they share most of their layers. Returns their sizes. */
export async function buildImages(
  base: string | undefined,
  { quiet = false }: { quiet?: boolean } = {},
): Promise<{ image: string; bytes: number }[]> {
  const revision = await commit();
  const sizes: { image: string; bytes: number }[] = [];
  for (const { service, folder, image } of IMAGES) {
    const args = { SERVICE: service, FOLDER: folder, VERSION: version, REVISION: revision };
    const all = Object.entries({ ...args, ...(base && { BASE: base }) });
    const buildArgs = all.flatMap(([name, value]) => ["--build-arg", `${name}=${value}`]);
    await build(["build", "--tag", image, ...buildArgs, root], quiet);
    const { stdout } = await run("docker", ["image", "inspect", "--format", "{{.Size}}", image]);
    sizes.push({ image, bytes: Number(stdout) });
  }
  return sizes;
}

const run = promisify(execFile);

async function commit(): Promise<string> {
  // The sources may be there without their history.
  const { stdout } = await run("git", ["rev-parse", "HEAD"], { cwd: root }).catch(() => ({
    stdout: "unknown",
  }));
  return stdout.trim();
}

async function build(args: string[], quiet: boolean): Promise<void> {
  const child = spawn("docker", args, { stdio: ["ignore", quiet ? "pipe" : "inherit", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      said = `${said}${text}`.slice(-4_000);
      if (!quiet) process.stderr.write(text);
    });
  }
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`docker ${args.join(" ")} ended with ${code}:\n${said}`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { base: { type: "string" }, help: { type: "boolean" } },
  });
  if (values.help) return console.log(`Usage: ${USAGE}`);
  for (const { image, bytes } of await buildImages(values.base)) {
    console.log(`${image.padEnd(24)} ${(bytes / MEGABYTE).toFixed(0).padStart(5)} MB`);
  }
}

if (import.meta.main) {
  main().catch((error) => {
    console.error(sentence(error));
    process.exitCode = 1;
  });
}
