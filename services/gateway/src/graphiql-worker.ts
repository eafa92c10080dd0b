/** The thread that makes GraphiQL's page, and ends. */
import { createHash } from "node:crypto";
import { parentPort } from "node:worker_threads";
import { gzipSync } from "node:zlib";
import { renderGraphiQL } from "@graphql-yoga/render-graphiql";
import type { Rendered } from "./graphiql.js";

const html = renderGraphiQL({ endpoint: "/graphql", title: "piata" });
const scripts = [...html.matchAll(/<script[^>]*>([\s\S]*?)<\/script>/g)].map(
  ([, text = ""]) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`,
);
parentPort?.postMessage({ compressed: gzipSync(html), scripts } satisfies Rendered);
