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
  let page: Promise<Buffer> | undefined;
  return async ({ headers }, reply) => {
    page ??= render();
    const compressed = await page.catch((error) => {
      page = undefined;
      throw error;
    });
    reply.type("text/html; charset=utf-8").header("vary", "accept, accept-encoding");
    if (/\bgzip\b/.test(String(headers["accept-encoding"] ?? ""))) {
      return reply.header("content-encoding", "gzip").send(compressed);
    }
    return reply.send(Readable.from([compressed]).pipe(createGunzip()));
  };
}

async function render(): Promise<Buffer> {
  const worker = new Worker(new URL("graphiql-worker.js", import.meta.url));
  const [page] = (await once(worker, "message")) as [Uint8Array];
  return Buffer.from(page.buffer, page.byteOffset, page.byteLength);
}
