/** The small HTTP server of every program: health, metrics, and what pages it has for people. */
import { createServer, type OutgoingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Metrics } from "./metrics.js";

export interface Page {
  headers: OutgoingHttpHeaders;
  body: string;
}

/** By path: "/" and the like. */
export type Pages = Record<string, () => Page>;

interface HttpServer {
  port: number;
  drain(): void;
  close(): Promise<void>;
}

interface HttpOptions {
  host: string;
  port: number;
  metrics: Metrics;
  pages?: Pages | undefined;
}

/** /healthz for whoever asks whether it serves, /metrics for Prometheus, and the pages. */
export async function openHttp(options: HttpOptions): Promise<HttpServer> {
  const { host, port, metrics, pages = {} } = options;
  const json = { "content-type": "application/json" };
  let serving = true;
  const answer = async (path: string, response: ServerResponse): Promise<void> => {
    if (path === "/healthz") {
      response.writeHead(serving ? 200 : 503, json);
      response.end(JSON.stringify({ status: serving ? "SERVING" : "NOT_SERVING" }));
    } else if (path === "/metrics") {
      const body = await metrics.registry.metrics();
      response.writeHead(200, { "content-type": metrics.registry.contentType }).end(body);
    } else if (Object.hasOwn(pages, path)) {
      const page = pages[path]?.();
      response.writeHead(200, page?.headers).end(page?.body);
    } else {
      response.writeHead(404).end();
    }
  };
  const server = createServer(async ({ method, url = "/" }, response) => {
    if (method !== "GET" && method !== "HEAD") {
      response.writeHead(405, { allow: "GET, HEAD" }).end();
      return;
    }
    try {
      await answer(url.split("?", 1)[0] ?? "", response);
    } catch (error) {
      response.destroy(error as Error);
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    drain: () => {
      serving = false;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
