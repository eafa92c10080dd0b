// npm run staff -- ana@example.com: makes a user of the running shop staff, or with --customer a
// customer again. Takes effect when they next sign in or refresh.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Role } from "@piata/contracts/item";
import { UserServiceService } from "@piata/contracts/user";
import { ownContext } from "@piata/kit/context";
import { Channel } from "@piata/kit/rpc-client";
import { openTls } from "@piata/kit/tls";
import { sentence } from "./files.ts";
import { tlsDir } from "./programs.ts";

const TIMEOUT_MS = 5_000;
const USAGE = "npm run staff -- E-MAIL [--customer] [--data DIR | --access HOST:PORT --tls DIR]";
const root = join(import.meta.dirname, "..");

async function main(): Promise<void> {
  const { values, positionals } = readArguments();
  const [email] = positionals;
  if (values.help) return console.log(`Usage: ${USAGE}`);
  if (email === undefined || positionals.length > 1) throw new Error(`Usage: ${USAGE}`);
  const target = values.access ?? (await accessAddress(values.data));
  const tls = await openTls("--tls", values.tls ?? tlsDir(values.data, "operator"));
  const channel = new Channel({ service: "access", target, caller: "operator", tls });
  try {
    const role = values.customer ? Role.CUSTOMER : Role.STAFF;
    const context = ownContext(TIMEOUT_MS);
    await channel.client(UserServiceService).setUserRole({ email, role }, context);
    const what = values.customer ? "a customer" : "staff";
    console.log(`${email} is ${what} from their next sign-in or refresh on.`);
  } finally {
    channel.close();
  }
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        customer: { type: "boolean", default: false },
        data: { type: "string", default: join(root, ".data") },
        access: { type: "string" },
        tls: { type: "string" },
        help: { type: "boolean", default: false },
      },
    });
  } catch {
    throw new Error(`Usage: ${USAGE}`);
  }
}

async function accessAddress(dataDir: string): Promise<string> {
  const text = await readFile(join(dataDir, "run.json"), "utf8").catch(() => {
    throw new Error(`No shop is running on ${dataDir}; start it, or name its folder with --data.`);
  });
  const { processes } = JSON.parse(text) as { processes: { name: string; address: string }[] };
  const found = processes.find(({ name }) => name === "access");
  if (!found) throw new Error("The access service is not running now; try again.");
  return found.address;
}

main().catch((error) => {
  console.error(sentence(error));
  process.exitCode = 1;
});
