import {
  commonSettings,
  integer,
  optional,
  postgresUrl,
  secretSetting,
  setting,
  target,
} from "@piata/kit/config";
import { publicKeysFile } from "@piata/kit/public-keys";
import * as z from "zod";
import { SIGNING_KEY_NAME } from "./signing-key.js";

const DAY_SECONDS = 86_400;

export const settings = {
  ...commonSettings("access"),
  publicKeysFile: publicKeysFile(),
  databaseUrl: secretSetting("ACCESS_DATABASE_URL", postgresUrl(), "Its PostgreSQL database."),
  cartTarget: target("cart"),
  signingKeyFile: setting(
    SIGNING_KEY_NAME,
    z.string(),
    "The Ed25519 private key (PKCS#8, PEM) that signs; its public key must be among the public keys.",
  ),
  accessTokenSeconds: setting(
    "ACCESS_TOKEN_SECONDS",
    optional(integer(1, 3_600), 600),
    "How long an access token is good.",
  ),
  refreshTokenSeconds: setting(
    "ACCESS_REFRESH_TOKEN_SECONDS",
    optional(integer(1, 365 * DAY_SECONDS), 30 * DAY_SECONDS),
    "How long a refresh token is good; a session that is not used for so long is over.",
  ),
  refreshGraceSeconds: setting(
    "ACCESS_REFRESH_GRACE_SECONDS",
    optional(integer(0, 60), 10),
    "How long a spent refresh token still gets new tokens, for two tabs that refresh together.",
  ),
  guessesPerAccount: setting(
    "ACCESS_GUESSES_PER_ACCOUNT",
    optional(integer(1, 1_000), 10),
    "Wrong passwords of one account, whether it exists or not, that are checked in any 15 minutes.",
  ),
  guessesByStrangers: setting(
    "ACCESS_GUESSES_BY_STRANGERS",
    optional(integer(1, 1_000), 7),
    "Of those, how many may come from where the user has not signed in; the rest is the user's own.",
  ),
  guessesPerNetwork: setting(
    "ACCESS_GUESSES_PER_NETWORK",
    optional(integer(1, 1_000), 100),
    "Wrong passwords, of any accounts, from one IPv4 address or IPv6 /64 that are checked in any 15 minutes.",
  ),
  passwordChecksAtOnce: setting(
    "ACCESS_PASSWORD_CHECKS_AT_ONCE",
    optional(integer(1, 64), 2),
    "Passwords hashed at once: fewer than UV_THREADPOOL_SIZE (4), as tokens need threads too.",
  ),
  passwordChecksWaiting: setting(
    "ACCESS_PASSWORD_CHECKS_WAITING",
    optional(integer(0, 10_000), 100),
    "Sign-ins and registrations that may wait for their password's turn; more are refused.",
  ),
};
