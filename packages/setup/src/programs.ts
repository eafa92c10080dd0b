/** The programs of a shop, and which of them keep something in a database. */

export const PROGRAMS = [
  "discovery",
  "access",
  "catalog",
  "cart",
  "order",
  "payment",
  "gateway",
] as const;
export type ProgramName = (typeof PROGRAMS)[number];

/** Database by service: it is named after what it holds, its owner after the service. */
export const DATABASES = {
  access: "user",
  catalog: "catalog",
  cart: "cart",
  order: "order",
  payment: "payment",
} as const;
export type ServiceWithDatabase = keyof typeof DATABASES;
export const SERVICES_WITH_DATABASE = Object.keys(DATABASES) as ServiceWithDatabase[];

/** Who is given a certificate: every program, and whoever runs the shop's commands. */
export const CERTIFIED = [...PROGRAMS, "operator"] as const;
