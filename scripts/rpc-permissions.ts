// The table of docs/permissions.md that says who may call which RPC, made from the handlers.
import type { Type } from "@nestjs/common";
import { type Permission, permissionsOf } from "@piata/kit/permission";

const PROGRAMS = ["access", "catalog", "cart", "order", "payment", "discovery"];

const BEGIN = "<!-- Made by npm run gen from the @Rpc of the handlers. -->\n";
const END = "<!-- The end of what npm run gen makes. -->";

/** The page with the table as it is now. */
export async function withRpcTable(page: string): Promise<string> {
  const [before, rest] = page.split(BEGIN);
  const [, after] = rest?.split(END) ?? [];
  if (after === undefined) throw new Error("docs/permissions.md has no place for its RPCs.");
  const rows = (await Promise.all(PROGRAMS.map(rowsOf))).flat();
  const table = ["| RPC | who may call | for whom |", "|---|---|---|", ...rows, ""].join("\n");
  return `${before}${BEGIN}\n${table}\n${END}${after}`;
}

async function rowsOf(program: string): Promise<string[]> {
  const handlers = new URL(`../services/${program}/dist/handlers.js`, import.meta.url);
  const exported = Object.entries((await import(handlers.href)) as Record<string, unknown>);
  const controllers = exported.filter(([name]) => name.endsWith("Handlers"));
  const permissions = permissionsOf(controllers.map(([, controller]) => controller as Type));
  return [...permissions].map(
    ([rpc, permission]) => `| \`${rpc}\` | ${callersOf(permission)} | ${userOf(permission)} |`,
  );
}

const callersOf = ({ callers }: Permission): string =>
  callers?.map((name) => `\`${name}\``).join(", ") ?? "every program";

const userOf = ({ trusts }: Permission): string =>
  trusts === "passport" ? "the user of the passport" : "itself, and whom it names";
