// docs/permissions.md as data, and the operations that the schema has.
import { readFile } from "node:fs/promises";
import {
  buildSchema,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLOutputType,
  getNamedType,
  isInputObjectType,
  isObjectType,
} from "graphql";

const read = (path: string) => readFile(new URL(`../${path}`, import.meta.url), "utf8");

/** A line of a table: its cells by the names of their columns, without the backquotes of code. */
export type Row = Readonly<Record<string, string>>;

/** The page's text. */
export const permissionsPage = () => read("docs/permissions.md");

/** The first table under a heading. Throws when there is none. */
export function tableUnder(page: string, heading: string): Row[] {
  const [, section = ""] = page.split(`# ${heading}\n`);
  const table = section.split("\n").slice(section.split("\n").findIndex((line) => line[0] === "|"));
  const end = table.findIndex((line) => line[0] !== "|");
  const [head = [], , ...lines] = table.slice(0, end).map(cellsOf);
  if (lines.length === 0) throw new Error(`docs/permissions.md has no table under "${heading}".`);
  return lines.map((cells) =>
    Object.fromEntries(head.map((column, index) => [column, cells[index] ?? ""])),
  );
}

const cellsOf = (line: string): string[] =>
  line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim().replaceAll("`", ""));

/** A field of Query or Mutation. */
export interface Operation {
  name: string;
  /** A document that asks for it with whatever arguments are given, and for all that it answers. */
  document: string;
  /** Whether something that may be somebody's is named by an argument. */
  namesThings: boolean;
}

/** Arguments that name something: an id, a cursor, a token, a key. */
const NAMING = /(?:id|ids|after|token|key)$/i;

/** Every operation of the gateway, by name. */
export async function operations(): Promise<Map<string, Operation>> {
  const schema = buildSchema(await read("services/gateway/schema.graphql"));
  const found = new Map<string, Operation>();
  for (const type of [schema.getQueryType(), schema.getMutationType()]) {
    const kind = type?.name.toLowerCase() ?? "";
    for (const field of Object.values(type?.getFields() ?? {})) {
      found.set(field.name, operationOf(kind, field));
    }
  }
  return found;
}

function operationOf(
  kind: string,
  { name, args, type }: GraphQLField<unknown, unknown>,
): Operation {
  const declared = args.map((argument) => `$${argument.name}: ${argument.type}`).join(", ");
  const given = args.map((argument) => `${argument.name}: $${argument.name}`).join(", ");
  const inBrackets = (text: string) => (text === "" ? "" : `(${text})`);
  return {
    name,
    document: `${kind} ${inBrackets(declared)} { ${name}${inBrackets(given)} ${selection(type)} }`,
    namesThings: args.some((argument) => namesThings(argument.name, argument.type)),
  };
}

function namesThings(name: string, type: GraphQLInputType): boolean {
  const named = getNamedType(type);
  if (!isInputObjectType(named)) return NAMING.test(name);
  return Object.values(named.getFields()).some((field) => namesThings(field.name, field.type));
}

function selection(type: GraphQLOutputType): string {
  const named = getNamedType(type);
  if (!isObjectType(named)) return "";
  const fields = Object.values(named.getFields());
  return `{ ${fields.map((field) => `${field.name} ${selection(field.type)}`).join(" ")} }`;
}
