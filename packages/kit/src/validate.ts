/** The checks that every boundary shares. Each throws the INVALID_ARGUMENT that names the field. */
import { invalidArgument } from "./errors.js";

const ID_MAX = 2 ** 31 - 1;

/** An id: a whole number from 1 to 2^31 - 1. Throws INVALID_ARGUMENT / ID_INVALID. */
export function checkedId(value: number, field: string): number {
  if (!Number.isInteger(value) || value < 1 || value > ID_MAX) {
    throw invalidArgument("ID_INVALID", `${field} must be a whole number from 1 to ${ID_MAX}.`, {
      field,
    });
  }
  return value;
}

const KEY = /^[\x21-\x7e]{1,100}$/;

/** A key that its sender makes up: 1 to 100 visible ASCII characters. */
export function checkedKey(value: string, rule: { field: string; reason: string }): string {
  if (KEY.test(value)) return value;
  const { field, reason } = rule;
  throw invalidArgument(reason, `${field} must have 1 to 100 visible ASCII characters.`, { field });
}

export interface TextRule {
  field: string;
  reason: string;
  lengthMin: number;
  lengthMax: number;
}

const CONTROL = /\p{Cc}/u;

/** Text with the space around it gone, in Unicode's composed form. Lengths are in code points. */
export function checkedText(value: string, rule: TextRule): string {
  const { field, reason, lengthMin, lengthMax } = rule;
  const text = value.trim().normalize("NFC");
  const length = [...text].length;
  if (length < lengthMin || length > lengthMax || CONTROL.test(text)) {
    throw invalidArgument(
      reason,
      `${field} must have ${lengthMin} to ${lengthMax} characters and no control characters.`,
      { field },
    );
  }
  return text;
}

/**
 * A page's size (0 asks for the usual one) and the id it goes on from.
 * Throws INVALID_ARGUMENT / PAGE_INVALID.
 */
export function checkedPage(pageSize: number, token: string): { limit: number; from: number } {
  if (!Number.isInteger(pageSize) || pageSize < 0 || pageSize > 100) {
    throw invalidArgument("PAGE_INVALID", "The page size must be from 1 to 100.", {
      field: "page_size",
    });
  }
  const from = token === "" ? 0 : Number(Buffer.from(token, "base64url").toString());
  const handedOut = token === "" || pageToken(from) === token;
  if (!handedOut || !Number.isInteger(from) || from < 0 || from > ID_MAX) {
    throw invalidArgument("PAGE_INVALID", "page_token must be one that was handed out.", {
      field: "page_token",
    });
  }
  return { limit: pageSize === 0 ? 20 : pageSize, from };
}

/** The token that `checkedPage` reads. */
export const pageToken = (id: number): string => Buffer.from(String(id)).toString("base64url");
