/** What every answer tells a browser, whoever makes it; a page says what else it needs. */
import type { HeaderFields } from "./arrival.js";

const BASE = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};
const API = {
  ...BASE,
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
};
/** Shown by the pages of any front end; an SVG that is opened by itself can do nothing. */
const IMAGE = {
  ...BASE,
  "content-security-policy":
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox",
  "cross-origin-resource-policy": "cross-origin",
};
/** A year, as browsers advise. Its subdomains are not the gateway's to decide about. */
const TLS = { "strict-transport-security": "max-age=31536000" };

const TABLES: Record<"api" | "image", Record<"plain" | "secure", HeaderFields>> = {
  api: { plain: API, secure: { ...API, ...TLS } },
  image: { plain: IMAGE, secure: { ...IMAGE, ...TLS } },
};

/** The header fields of an answer, over TLS or not. */
export const secureHeaders = (of: "api" | "image", isSecure: boolean): HeaderFields =>
  TABLES[of][isSecure ? "secure" : "plain"];
