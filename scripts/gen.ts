// npm run gen: everything that is made from something else. TypeScript and the list of idempotent
// methods from the protos, docs/configuration.md from the settings of the programs, and the table of
// RPCs in docs/permissions.md from their handlers.
import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { configurationPage } from "./configuration.ts";
import { idempotentModule } from "./idempotent.ts";
import { withRpcTable } from "./rpc-permissions.ts";

const root = new URL("../", import.meta.url);

const protoDir = new URL("proto/", root);
execFileSync("buf", ["generate"], { cwd: protoDir, stdio: "inherit" });
await writeFile(new URL("packages/contracts/src/idempotent.ts", root), idempotentModule(protoDir));
execFileSync("tsc", ["-b"], { cwd: root, stdio: "inherit" });
await writeFile(new URL("docs/configuration.md", root), await configurationPage());

const permissions = new URL("docs/permissions.md", root);
await writeFile(permissions, await withRpcTable(await readFile(permissions, "utf8")));
