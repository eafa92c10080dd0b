import {
  type ConfigOf,
  choice,
  commonSettings,
  integer,
  list,
  optional,
  port,
  setting,
  target,
} from "@piata/kit/config";
import * as z from "zod";
import { AddressSet } from "./addresses.js";
import type { DocumentLimits } from "./document.js";

/** Addresses and networks with commas between them, or `none`. */
const addresses = (fallback: readonly string[] = []): z.ZodType<AddressSet> =>
  list().transform((words, context) => {
    const none = words.length === 1 && words[0] === "none";
    try {
      return new AddressSet(none ? [] : words.length === 0 ? fallback : words);
    } catch {
      const message = "must be addresses or networks (10.0.0.0/8) with commas between, or none";
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    }
  });

const isOrigin = (word: string) =>
  URL.canParse(word) && /^https?:[^*]+$/.test(word) && new URL(word).origin === word;

const HOST = /^([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:]+\])$/i;

/** Who may ask, and how often: what the gateway looks at before it reads a request. */
export const edgeSettings = {
  trustedProxies: setting(
    "GATEWAY_TRUSTED_PROXIES",
    addresses(),
    "Addresses and networks of the proxies in front of it, with commas between: X-Forwarded-For, -Proto and -Host of theirs are believed, and nobody else's.",
  ),
  hosts: setting(
    "GATEWAY_HOSTS",
    list().refine(
      (words) => words.every((word) => HOST.test(word)),
      "must be names without ports and with commas between",
    ),
    "The names that it is asked by, without ports and with commas between: requests to others are refused; empty for any.",
  ),
  cookieSecure: setting(
    "GATEWAY_COOKIE_SECURE",
    optional(choice(["auto", "on", "off"]), "auto"),
    "Whether its answers go over TLS, and so cookies over nothing else and under names with __Host-; auto is what a trusted proxy says of each request.",
  ),
  corsOrigins: setting(
    "GATEWAY_CORS_ORIGINS",
    list().refine(
      (words) => words.every(isOrigin),
      "must be origins as browsers write them (https://shop.example), with commas between",
    ),
    "Origins whose pages may call it, https://shop.example with commas between; pages of its own host may anyway.",
  ),
  addressRequestsPerMinute: setting(
    "GATEWAY_ADDRESS_REQUESTS_PER_MINUTE",
    optional(integer(0, 1_000_000_000), 6_000),
    "Requests of one address in a minute, and at once; each instance counts for itself, and 0 is no limit.",
  ),
  userRequestsPerMinute: setting(
    "GATEWAY_USER_REQUESTS_PER_MINUTE",
    optional(integer(0, 1_000_000_000), 1_200),
    "Requests of one signed-in user in a minute, and at once; each instance counts for itself, and 0 is no limit.",
  ),
  registrationsPerHour: setting(
    "GATEWAY_REGISTRATIONS_PER_HOUR",
    optional(integer(0, 1_000_000_000), 100),
    "Attempts to register by one address in an hour, and at once; each instance counts for itself, and 0 is no limit.",
  ),
  rateLimitExempt: setting(
    "GATEWAY_RATE_LIMIT_EXEMPT",
    addresses(["127.0.0.0/8", "::1"]),
    "Addresses and networks without these limits, with commas between, or none; the machine's own when it is left out.",
  ),
  headerBytesMax: setting(
    "GATEWAY_HEADER_BYTES_MAX",
    optional(integer(2_000, 100_000), 8_192),
    "The largest URL and header fields of a request together, in bytes.",
  ),
};

export const settings = {
  ...commonSettings("gateway"),
  port: setting("GATEWAY_PORT", port(30_000), "The port of /graphql; 0 takes any free one."),
  listenFd: setting(
    "GATEWAY_LISTEN_FD",
    integer(3, 1_000_000).optional(),
    "An open descriptor, a bound TCP socket, to listen on instead: of `npm start`, or 3 from systemd.",
  ),
  idleMs: setting(
    "GATEWAY_IDLE_MS",
    optional(integer(0, 60_000), 2_500),
    "How long idle connections stay open once it takes no new ones, in milliseconds: a request on one is answered.",
  ),
  accessTarget: target("access"),
  catalogTarget: target("catalog"),
  cartTarget: target("cart"),
  orderTarget: target("order"),
  catalogCacheProducts: setting(
    "GATEWAY_CATALOG_CACHE_PRODUCTS",
    optional(integer(0, 1_000_000), 10_000),
    "Products that it keeps in memory at most, 2 kB for each on average, and the list of categories, while the catalog tells it what changes; 0 keeps nothing.",
  ),
  graphiql: setting(
    "GATEWAY_GRAPHIQL",
    optional(choice(["on", "off"]), "off"),
    "Whether /graphql shows GraphiQL to a browser. For development.",
  ),
  imagesDir: setting(
    "GATEWAY_IMAGES_DIR",
    z.string().optional(),
    "A folder that is served under /images/; without it there is no such path.",
  ),
  timeoutMs: setting(
    "GATEWAY_TIMEOUT_MS",
    optional(integer(100, 60_000), 5_000),
    "How long a request may take, in milliseconds.",
  ),
  requestsMax: setting(
    "GATEWAY_REQUESTS_MAX",
    optional(integer(1, 100_000), 256),
    "Requests that it works on at once; more are refused with HTTP 503 before they are read.",
  ),
  linesPerSecond: setting(
    "GATEWAY_LOG_LINES_PER_SECOND",
    optional(integer(0, 1_000_000), 20),
    "Lines that the log has of requests that went well, in a second; the next one tells how many had none. What failed or took over 500 ms has one, always.",
  ),
  ...edgeSettings,
  bodyBytesMax: setting(
    "GATEWAY_BODY_BYTES_MAX",
    optional(integer(1_000, 10_000_000), 100_000),
    "The largest request body, in bytes.",
  ),
  // What a document may be: document.ts, which says what each of them counts.
  introspection: setting(
    "GATEWAY_INTROSPECTION",
    optional(choice(["on", "off"]), "off"),
    "Whether the schema is shown: __schema, __type and hints at names in messages. For development.",
  ),
  trustedDocumentsFile: setting(
    "GATEWAY_TRUSTED_DOCUMENTS_FILE",
    z.string().optional(),
    "A JSON file of documents by their SHA-256 in hex; with it only these run.",
  ),
  lengthMax: setting(
    "GATEWAY_DOCUMENT_LENGTH_MAX",
    optional(integer(1_000, 1_000_000), 20_000),
    "The most characters of a document; values belong into variables.",
  ),
  tokensMax: setting(
    "GATEWAY_TOKENS_MAX",
    optional(integer(1, 100_000), 1_000),
    "The most tokens of a document, and the most comments.",
  ),
  depthMax: setting(
    "GATEWAY_DEPTH_MAX",
    optional(integer(1, 1_000), 15),
    "How deep fields may stand in one another; introspection needs 15.",
  ),
  aliasesMax: setting(
    "GATEWAY_ALIASES_MAX",
    optional(integer(0, 10_000), 30),
    "The most aliases in a document.",
  ),
  directivesMax: setting(
    "GATEWAY_DIRECTIVES_MAX",
    optional(integer(0, 10_000), 20),
    "The most directives in a document.",
  ),
  repeatsMax: setting(
    "GATEWAY_REPEATS_MAX",
    optional(integer(1, 10_000), 50),
    "How often a document may write fields of one name (or alias): they are compared in pairs.",
  ),
  rootFieldsMax: setting(
    "GATEWAY_ROOT_FIELDS_MAX",
    optional(integer(1, 10_000), 20),
    "The most fields of Query or Mutation in an operation.",
  ),
  complexityMax: setting(
    "GATEWAY_COMPLEXITY_MAX",
    optional(integer(1, 10_000_000), 10_000),
    "The most an operation may cost: a field is 1, a list as often what is asked of its items as `first` says (100 for a variable), or ten times.",
  ),
  valuesMax: setting(
    "GATEWAY_VALUES_MAX",
    optional(integer(1, 1_000_000), 200),
    "The most values that the variables of an operation hold, lists and objects and what is in them.",
  ),
  batchMax: setting(
    "GATEWAY_BATCH_MAX",
    optional(integer(1, 100), 1),
    "The most operations in a request, as a list; 1 takes no lists. Together they may cost as much as one.",
  ),
};

export const limitsOf = (config: ConfigOf<typeof settings>): DocumentLimits => ({
  length: config.lengthMax,
  tokens: config.tokensMax,
  depth: config.depthMax,
  aliases: config.aliasesMax,
  directives: config.directivesMax,
  repeats: config.repeatsMax,
  rootFields: config.rootFieldsMax,
  complexity: config.complexityMax,
  values: config.valuesMax,
});
