// npm run gen: everything that is made from something else. TypeScript from the protos, and
// docs/configuration.md from the settings of the programs.
import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { configurationPage } from "./configuration.ts";

const root = new URL("../", import.meta.url);

execFileSync("buf", ["generate"], { cwd: new URL("proto/", root), stdio: "inherit" });
execFileSync("tsc", ["-b"], { cwd: root, stdio: "inherit" });
await writeFile(new URL("docs/configuration.md", root), await configurationPage());
