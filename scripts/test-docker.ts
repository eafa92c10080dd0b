// npm run test:docker [-- --base IMAGE --postgres IMAGE --mongo IMAGE]: the images, and the shop in
// containers. An image that is not on this machine is pulled.
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { sentence } from "./files.ts";

const USAGE = "npm run test:docker -- [--base IMAGE] [--postgres IMAGE] [--mongo IMAGE]";
const TIMEOUT_MS = 1_800_000;

function main(): void {
  const { values } = parseArgs({
    options: {
      base: { type: "string", default: "node:26-bookworm-slim" },
      postgres: { type: "string", default: "postgres:18" },
      mongo: { type: "string", default: "mongo:8" },
      help: { type: "boolean", default: false },
    },
  });
  const { base, postgres, mongo, help } = values;
  if (help) {
    console.log(`Usage: ${USAGE}`);
    return;
  }
  for (const image of [base, postgres, mongo]) {
    const found = spawnSync("docker", ["image", "inspect", image], { stdio: "ignore" });
    if (found.error) throw new Error(`docker cannot be run: ${found.error.message}`);
    if (found.status !== 0) spawnSync("docker", ["pull", image], { stdio: "inherit" });
  }
  const file = join(import.meta.dirname, "..", "e2e", "docker.test.ts");
  const args = ["--test", `--test-timeout=${TIMEOUT_MS}`, file];
  const test = spawn(process.execPath, args, {
    stdio: "inherit",
    env: {
      ...process.env,
      PIATA_DOCKER_BASE: base,
      PIATA_DOCKER_POSTGRES: postgres,
      PIATA_DOCKER_MONGO: mongo,
    },
  });
  // So that what was started is removed: Ctrl-C reaches the test as well.
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => undefined);
  test.once("exit", (code) => process.exit(code ?? 1));
}

try {
  main();
} catch (error) {
  console.error(`${sentence(error)}\nUsage: ${USAGE}`);
  process.exitCode = 2;
}
