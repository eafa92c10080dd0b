/** GraphiQL's page, for browsers in development. */
import { once } from "node:events";
import { Readable } from "node:stream";
import { Worker } from "node:worker_threads";
import { createGunzip } from "node:zlib";
import type { FastifyReply, FastifyRequest } from "fastify";

/**
 * Answers with the page. It is 9 MB, made from a module that is as large, so a thread of its own
 * makes it when the first browser asks; what stays in memory is the page, compressed.
 */
export function graphiql(): (request: FastifyRequest, reply: FastifyReply) => Promise<unknown> {
  let page: Promise<Page> | undefined;
  return async ({ headers }, reply) => {
    page ??= render();
    const { compressed, scripts } = await page.catch((error) => {
      page = undefined;
      throw error;
    });
    reply.type("text/html; charset=utf-8").header("vary", "accept, accept-encoding");
    reply.header("content-security-policy", policy(scripts));
    if (/\bgzip\b/.test(String(headers["accept-encoding"] ?? ""))) {
      return reply.header("content-encoding", "gzip").send(compressed);
    }
    return reply.send(Readable.from([compressed]).pipe(createGunzip()));
  };
}

/** What the thread makes. */
export interface Rendered {
  compressed: Uint8Array;
  /** The hashes of its scripts, as a Content-Security-Policy has them. */
  scripts: string[];
}

interface Page extends Rendered {
  compressed: Buffer;
}

async function render(): Promise<Page> {
  const worker = new Worker(new URL("graphiql-worker.js", import.meta.url));
  const [{ compressed, scripts }] = (await once(worker, "message")) as [Rendered];
  const { buffer, byteOffset, byteLength } = compressed;
  return { compressed: Buffer.from(buffer, byteOffset, byteLength), scripts };
}

// Its own scripts and no others; its editor makes styles, fonts and workers of its own.
const policy = (scripts: readonly string[]): string =>
  [
    "default-src 'none'",
    `script-src ${scripts.join(" ")}`,
    "style-src 'unsafe-inline'",
    "font-src data:",
    "img-src data:",
    "worker-src blob:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
