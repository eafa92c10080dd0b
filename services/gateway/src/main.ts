import { readFile } from "node:fs/promises";
import { AccessServiceService } from "@piata/contracts/access";
import { defineProgram, type Start } from "@piata/kit/program";
import { run } from "@piata/kit/run";
import { buildSchema } from "graphql";
import { access } from "./access.js";
import { cart } from "./cart.js";
import { catalog } from "./catalog.js";
import { limitsOf, settings } from "./config.js";
import { Documents, readTrustedDocuments } from "./documents.js";
import { Listener } from "./listener.js";
import { order } from "./order.js";
import type { Resolvers } from "./resolvers.js";
import { createServer } from "./server.js";
import { Sessions } from "./sessions.js";

const start: Start<typeof settings> = async ({ config, log, metrics, connect, onStop }) => {
  const accessChannel = connect("access", config.accessTarget);
  const accessRpc = accessChannel.client(AccessServiceService);
  const sessions = new Sessions({ access: accessRpc, metrics, log });
  onStop(() => sessions.close());
  const products = catalog(connect("catalog", config.catalogTarget), {
    metrics,
    log,
    cacheProductsMax: config.catalogCacheProducts,
  });
  onStop(() => products.close());
  const parts: { resolvers: Resolvers }[] = [
    { resolvers: { Query: { hello: () => "Hello from piata." } } },
    access({ channel: accessChannel, access: accessRpc }),
    products,
    cart(connect("cart", config.cartTarget), products, metrics),
    order(connect("order", config.orderTarget), metrics),
  ];
  const rules = {
    schema: buildSchema(await readFile(new URL("../schema.graphql", import.meta.url), "utf8")),
    introspection: config.introspection === "on",
    limits: limitsOf(config),
  };
  const { trustedDocumentsFile: file } = config;
  const trusted = file === undefined ? undefined : await readTrustedDocuments(file, rules);
  const { timeoutMs, requestsMax, bodyBytesMax, imagesDir, linesPerSecond } = config;
  const app = await createServer({
    documents: new Documents({ ...rules, trusted }),
    batchMax: config.batchMax,
    resolvers: parts.map(({ resolvers }) => resolvers),
    graphiql: config.graphiql === "on",
    sessions,
    log,
    metrics,
    timeoutMs,
    requestsMax,
    bodyBytesMax,
    imagesDir,
    linesPerSecond,
    edge: config,
  });
  const listener = new Listener(app, { ...config, log });
  await listener.open();
  return listener;
};

export const gateway = defineProgram("gateway", settings, start);

if (import.meta.main) await run(gateway);
