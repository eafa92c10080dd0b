/**
 * One JSON object per line on stdout. What a customer typed, tokens and secrets are never logged.
 */
import { type DestinationStream, type Logger, pino } from "pino";

export type Log = Logger;

/** The log of a program; `level` is the least severe that is written. */
export function openLog(
  program: string,
  level: string,
  destination: DestinationStream = pino.destination(1),
): Log {
  const options = {
    level,
    base: { program, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: errorFields },
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(options, destination);
}

// Not everything that an error carries: PostgreSQL's `detail` quotes the values of the row.
function errorFields(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack, code, cause } = error as Error & { code?: unknown };
  return { type: name, message, stack, code, ...(cause ? { cause: errorFields(cause) } : {}) };
}
