// npm start. Plain JavaScript that has Node keep what it compiles: types are then taken away once,
// and not by a compiler that stays in memory.
import { enableCompileCache } from "node:module";
import { join } from "node:path";

enableCompileCache(join(import.meta.dirname, "..", "node_modules", ".cache", "piata"));
await import("./start.ts");
