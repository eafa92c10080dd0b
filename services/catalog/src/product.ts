/** What may be offered: the rules for categories and products. */
import type { CreateCategoryRequest, CreateProductRequest } from "@piata/contracts/catalog";
import { invalidArgument } from "@piata/kit/errors";
import { minorUnits } from "@piata/kit/money";
import { checkedId, checkedText } from "@piata/kit/validate";

const UNITS_MAX = 1_000_000_000;
const CATEGORIES_MAX = 20;
const IMAGE_URL_LENGTH_MAX = 2_000;

export interface NewCategory {
  name: string;
  description: string;
  createdBy: number;
}

export interface NewProduct {
  name: string;
  priceMinor: number;
  imageUrl: string;
  unitsAvailable: number;
  categoryIds: number[];
  sellerId: number;
}

/** Throws INVALID_ARGUMENT / NAME_INVALID, DESCRIPTION_INVALID. */
export function newCategory(request: CreateCategoryRequest, createdBy: number): NewCategory {
  return {
    name: checkedText(request.name, {
      field: "name",
      reason: "NAME_INVALID",
      lengthMin: 1,
      lengthMax: 100,
    }),
    description: checkedText(request.description, {
      field: "description",
      reason: "DESCRIPTION_INVALID",
      lengthMin: 0,
      lengthMax: 1_000,
    }),
    createdBy,
  };
}

/**
 * Throws INVALID_ARGUMENT / NAME_INVALID, PRICE_INVALID, IMAGE_URL_INVALID, UNITS_INVALID,
 * CATEGORIES_INVALID.
 */
export function newProduct(
  request: CreateProductRequest,
  { sellerId, currencyCode }: { sellerId: number; currencyCode: string },
): NewProduct {
  return {
    name: checkedText(request.name, {
      field: "name",
      reason: "NAME_INVALID",
      lengthMin: 1,
      lengthMax: 200,
    }),
    priceMinor: minorUnits(request.price, currencyCode),
    imageUrl: checkedImageUrl(request.imageUrl),
    unitsAvailable: checkedUnits(request.unitsAvailable),
    categoryIds: checkedCategoryIds(request.categoryIds),
    sellerId,
  };
}

function checkedUnits(units: number): number {
  if (!Number.isInteger(units) || units < 0 || units > UNITS_MAX) {
    throw invalidArgument("UNITS_INVALID", `unitsAvailable must be from 0 to ${UNITS_MAX}.`, {
      field: "unitsAvailable",
    });
  }
  return units;
}

function checkedCategoryIds(ids: number[]): number[] {
  if (ids.length > CATEGORIES_MAX || new Set(ids).size < ids.length) {
    throw invalidArgument(
      "CATEGORIES_INVALID",
      `categoriesIds must name at most ${CATEGORIES_MAX} categories, each once.`,
      { field: "categoriesIds" },
    );
  }
  return ids.map((id) => checkedId(id, "categoriesIds"));
}

// No spaces, no control characters (PostgreSQL stores no zero), and no backslash, which browsers
// take for a slash.
const PATH = /^\/(?!\/)[^\s\\\p{Cc}]*$/u;
const WEB_URL = /^https?:\/\/[^\s\\\p{Cc}]+$/u;

// The shop never fetches an image; the address is only handed on, and must not be a script.
function checkedImageUrl(imageUrl: string): string {
  const fits = imageUrl.length <= IMAGE_URL_LENGTH_MAX;
  if (imageUrl === "" || (fits && (PATH.test(imageUrl) || isWebUrl(imageUrl)))) return imageUrl;
  throw invalidArgument(
    "IMAGE_URL_INVALID",
    "imageUrl must be an http(s) URL or a path of the shop's own, of at most 2000 characters.",
    { field: "imageUrl" },
  );
}

function isWebUrl(text: string): boolean {
  const url = WEB_URL.test(text) ? URL.parse(text) : null;
  // https://example.com@evil.example: a name in front only looks like the host.
  return url !== null && url.username === "" && url.password === "";
}
