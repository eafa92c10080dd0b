/** What every answer tells a browser, whoever makes it; a page says what else it needs. */

const BASE: readonly [string, string][] = [
  ["x-content-type-options", "nosniff"],
  ["referrer-policy", "no-referrer"],
];
const API: readonly [string, string][] = [
  ...BASE,
  ["content-security-policy", "default-src 'none'; frame-ancestors 'none'"],
  ["cross-origin-resource-policy", "same-origin"],
];
/** Shown by the pages of any front end; an SVG that is opened by itself can do nothing. */
const IMAGE: readonly [string, string][] = [
  ...BASE,
  [
    "content-security-policy",
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
  ],
  ["cross-origin-resource-policy", "cross-origin"],
];
/** A year, as browsers advise. Its subdomains are not the gateway's to decide about. */
const TLS: [string, string] = ["strict-transport-security", "max-age=31536000"];

const TABLES = [API, IMAGE, [...API, TLS], [...IMAGE, TLS]] as const;

/** The header fields of an answer, over TLS or not. */
export const secureHeaders = (isImage: boolean, isSecure: boolean): readonly [string, string][] =>
  TABLES[(isImage ? 1 : 0) + (isSecure ? 2 : 0)] as readonly [string, string][];
