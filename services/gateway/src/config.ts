import {
  choice,
  commonSettings,
  integer,
  optional,
  port,
  setting,
  target,
} from "@piata/kit/config";
import * as z from "zod";

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
};
