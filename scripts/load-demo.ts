// npm run demo [-- URL]: loads the demo catalogue into a shop that npm start has not started, such as
// one in containers. Without pictures: those are files of its gateway.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { loadInto } from "./demo.ts";
import { sentence } from "./files.ts";
import { openSecrets } from "./secrets.ts";

const DEFAULT_URL = "http://localhost:30000/graphql";
const dataDir = join(import.meta.dirname, "..", ".data");

async function main([url = DEFAULT_URL, ...more]: string[]): Promise<void> {
  if (!URL.canParse(url) || more.length > 0) throw new Error(`Usage: npm run demo -- [URL]`);
  await mkdir(dataDir, { recursive: true });
  // The seller's password, should it be run again.
  const secrets = await openSecrets(join(dataDir, "demo-elsewhere.json"));
  console.log(await loadInto(url, secrets, () => ""));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(sentence(error));
  process.exitCode = 1;
});
