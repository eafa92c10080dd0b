import {
  choice,
  commonSettings,
  integer,
  optional,
  postgresUrl,
  secretSetting,
  setting,
} from "@piata/kit/config";

const PROVIDERS = ["sandbox"] as const;
export type ProviderName = (typeof PROVIDERS)[number];

export const settings = {
  ...commonSettings("payment"),
  databaseUrl: secretSetting("PAYMENT_DATABASE_URL", postgresUrl(), "Its PostgreSQL database."),
  provider: setting(
    "PAYMENT_PROVIDER",
    choice(PROVIDERS),
    "Who takes the money: sandbox takes none, and is for development and tests. It has no default.",
  ),
  answerWithinMs: setting(
    "PAYMENT_ANSWER_WITHIN_MS",
    optional(integer(1, 10_000), 200),
    "How long a charge is waited for; afterwards the answer is PENDING and the charge goes on.",
  ),
  providerTimeoutMs: setting(
    "PAYMENT_PROVIDER_TIMEOUT_MS",
    optional(integer(1, 60_000), 5_000),
    "How long one call to the provider may take; afterwards its outcome is unknown.",
  ),
  attemptsMax: setting(
    "PAYMENT_ATTEMPTS_MAX",
    optional(integer(1, 100_000), 2_000),
    "Charges, and likewise cancellations and refunds, in flight at once; beyond it PENDING.",
  ),
  reconcileSeconds: setting(
    "PAYMENT_RECONCILE_SECONDS",
    optional(integer(0, 86_400), 300),
    "How often our book is held against the provider's; 0 leaves it to those who ask.",
  ),
  reconcileAgeSeconds: setting(
    "PAYMENT_RECONCILE_AGE_SECONDS",
    optional(integer(0, 86_400), 60),
    "What changed less than this ago is left out of that: it may be under way.",
  ),
  sandboxSlowMs: setting(
    "PAYMENT_SANDBOX_SLOW_MS",
    optional(integer(0, 600_000), 2_000),
    "How long the sandbox takes for a charge by the payment method slow, and for its refunds.",
  ),
};
