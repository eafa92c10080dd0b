/** One JSON object per line on stdout. What a customer typed, tokens and secrets are never logged. */
import { type Logger, pino } from "pino";

export type Log = Logger;

export function openLog(program: string, level: string): Log {
  return pino({
    level,
    base: { program, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: errorFields },
    formatters: { level: (label) => ({ level: label }) },
  });
}

// Not everything that an error carries: PostgreSQL's `detail` quotes the values of the row.
function errorFields(error: unknown) {
  const { name, message, stack, code } = error as Error & { code?: unknown };
  return { type: name, message, stack, code };
}
