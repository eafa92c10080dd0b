// docs/configuration.md, made from the same tables that the programs read their settings from.
import { basename } from "node:path";

interface Setting {
  name: string;
  doc: string;
  fileName?: string;
  type: { safeParse(value: undefined): { success: boolean; data?: unknown } };
}

const FOLDERS = [
  ...["gateway", "access", "catalog", "cart", "order", "payment", "discovery"].map(
    (program) => `services/${program}`,
  ),
  "packages/setup",
];

const HEAD = `# Configuration

Every program reads its settings from environment variables, once, when it starts, and refuses to start
with a list of all that is wrong (exit code 78). This page is made by \`npm run gen\` from the tables that the
programs read: \`services/*/src/config.ts\`, and those of the setup program, which makes secrets and databases.

\`npm start\` sets what is required; what you set yourself wins. With every \`*_DATABASE_URL\` set it starts no
PostgreSQL of its own. Its options: \`npm start -- --help\`.
`;

export async function configurationPage(): Promise<string> {
  const sections = await Promise.all(FOLDERS.map(section));
  return [HEAD, ...sections].join("\n");
}

async function section(folder: string): Promise<string> {
  const config = new URL(`../${folder}/dist/config.js`, import.meta.url);
  const { settings } = (await import(config.href)) as { settings: Record<string, Setting> };
  const rows = Object.values(settings).map(
    ({ name, doc, type, fileName }) =>
      `| \`${name}\` | ${fallback(type)} | ${doc}${fileName ? ` Or \`${fileName}\`, a file with it.` : ""} |`,
  );
  return [
    `## ${basename(folder)}`,
    "",
    "| variable | default | meaning |",
    "|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}

function fallback(type: Setting["type"]): string {
  const parsed = type.safeParse(undefined);
  if (!parsed.success) return "**required**";
  const { data } = parsed;
  const none = data === undefined || data === "" || (Array.isArray(data) && data.length === 0);
  return none ? "none" : `\`${String(data)}\``;
}
