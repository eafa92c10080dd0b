/** One JSON object per line on stdout. What a customer typed, tokens and secrets are never logged. */
import { type Logger, pino } from "pino";

export type Log = Logger;

export function openLog(program: string, level: string): Log {
  return pino({
    level,
    base: { program, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
}
