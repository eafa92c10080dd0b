import {
  type ConfigOf,
  choice,
  commonSettings,
  integer,
  optional,
  port,
  setting,
  target,
} from "@piata/kit/config";
import * as z from "zod";
import type { DocumentLimits } from "./document.js";

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
  graphiql: setting(
    "GATEWAY_GRAPHIQL",
    optional(choice(["on", "off"]), "off"),
    "Whether /graphql shows GraphiQL to a browser. For development.",
  ),
  cookieSecure: setting(
    "GATEWAY_COOKIE_SECURE",
    optional(choice(["on", "off"]), "off"),
    "Whether cookies are sent over TLS only; on wherever there is TLS.",
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
