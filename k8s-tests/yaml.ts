// YAML that means the same to everybody who reads it: to people, to YAML 1.1 (which kubectl reads) and
// to YAML 1.2 (which most tools read by now).
import { isDeepStrictEqual } from "node:util";
import { isAlias, parseAllDocuments, visit } from "yaml";

/** What is wrong with a file of objects; empty when nothing is. */
export function yamlFaults(text: string): string[] {
  const faults: string[] = [];
  if (text.includes("\t")) faults.push("a tab");
  if (text.includes("\r")) faults.push("a carriage return");
  if (!text.endsWith("\n")) faults.push("no line end at the end");
  if (/ +$/m.test(text)) faults.push("spaces at the end of a line");
  const documents = parseAllDocuments(text, { uniqueKeys: true, strict: true });
  for (const document of documents) {
    faults.push(...[...document.errors, ...document.warnings].map(({ message }) => message));
    visit(document, {
      Node: (_key, node) => {
        if (isAlias(node)) faults.push(`an alias: *${node.source}`);
        else if (node.anchor) faults.push(`an anchor: &${node.anchor}`);
        if (!isAlias(node) && node.tag?.startsWith("!")) faults.push(`a tag: ${node.tag}`);
      },
    });
  }
  if (faults.length > 0) return faults;
  const [older, newer] = (["1.1", "1.2"] as const).map((version) =>
    // 1.1 also has ways to write numbers in base 60 and dates.
    parseAllDocuments(text, { version, merge: false }).map((document) => document.toJS()),
  );
  if (!isDeepStrictEqual(older, newer)) faults.push("YAML 1.1 and 1.2 read it differently");
  return faults;
}

/** The documents of a file without faults. */
export const documentsOf = (text: string): unknown[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as unknown)
    .filter((document) => document !== null);
