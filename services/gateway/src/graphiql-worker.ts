/** The thread that makes GraphiQL's page, and ends. */
import { parentPort } from "node:worker_threads";
import { gzipSync } from "node:zlib";
import { renderGraphiQL } from "@graphql-yoga/render-graphiql";

parentPort?.postMessage(gzipSync(renderGraphiQL({ endpoint: "/graphql", title: "piata" })));
