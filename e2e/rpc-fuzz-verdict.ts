// What an answer may say: a documented reason, and nothing of what is behind it.
import { readFileSync } from "node:fs";
import type { Status } from "@piata/contracts/rpc/status";
import { type Failure, failureIn, fromStatus, toStatus } from "@piata/kit/errors";
import type { Outcome } from "./rpc-fuzz-shop.ts";

const ERRORS = readFileSync(new URL("../docs/errors.md", import.meta.url), "utf8");
const [, TABLE = ""] = ERRORS.split("## Reasons");
const CODE_OF_REASON = new Map(
  [...TABLE.matchAll(/^\| `([A-Z_]+)` \| `([A-Z_]+)` \|/gm)].map(([, reason, code]) => [
    reason as string,
    code as string,
  ]),
);

// Of SQL, of drivers, of stacks and of the disk. No text that is sent has any of it.
const LEAKS = [
  /\b(?:select|insert into|update|delete from)\b.+\b(?:from|values|set|where)\b/is,
  /duplicate key|violates|syntax error|invalid (?:byte|input)|relation "|column "|deadlock/i,
  /\bpg_|postgres|mongo|ferret|ECONN|ENOENT|EPIPE|SQLSTATE|protobuf/i,
  /node_modules|\.[cm]?[jt]s:\d+|\n\s+at |TypeError|RangeError|SyntaxError/,
  /\/(?:usr|home|root|tmp|work|app|src|dist)\//,
  /Cannot read prop|is not a function|is not iterable|undefined/,
];

/** What is wrong with a text for outside; undefined when nothing is. */
export const leakIn = (text: string): string | undefined =>
  LEAKS.map((leak) => leak.exec(text)?.[0]).find((found) => found !== undefined);

/** What is wrong with a Failure that somebody got; undefined when nothing is. */
function faultOfFailure({ code, reason, message, metadata }: Failure): string | undefined {
  if (code === "INTERNAL") return `INTERNAL: ${message}`;
  const documented = CODE_OF_REASON.get(reason);
  if (documented !== code) return `${code} / ${reason} is documented as ${documented}`;
  const leak = leakIn(`${message} ${JSON.stringify(metadata)}`);
  return leak && `${reason} says "${leak}": ${message}`;
}

/** How an item's own failure must be on the wire: with one ErrorInfo. */
function faultOfItem(wire: Status): string | undefined {
  const failure = fromStatus(wire);
  if (toStatus(failure).details[0]?.typeUrl !== wire.details[0]?.typeUrl) {
    return `an item failed without a reason: ${wire.code} ${wire.message}`;
  }
  return faultOfFailure(failure);
}

interface Answer {
  results?: { failure?: Status | undefined }[];
}

/** The reasons that an answer gave, and what is wrong with it if something is. */
export function judge(
  { code, details, metadata, response }: Outcome,
  decode: (bytes: Buffer) => unknown,
): { reasons: string[]; fault: string | undefined } {
  if (code === "OK") {
    const { results = [] } = (response ? decode(response) : {}) as Answer;
    const failures = results.flatMap(({ failure }) => failure ?? []);
    const leak = leakIn(response?.toString("latin1") ?? "");
    return {
      reasons: ["OK", ...new Set(failures.map((failure) => fromStatus(failure).reason))],
      fault: failures.map(faultOfItem).find(Boolean) ?? (leak && `the answer says "${leak}"`),
    };
  }
  const failure = failureIn(metadata);
  if (!failure) return { reasons: [code], fault: `${code} without a reason: ${details}` };
  return { reasons: [failure.reason], fault: faultOfFailure(failure) };
}
