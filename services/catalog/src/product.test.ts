import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isFailure } from "@piata/kit/errors";
import { product } from "./fixture.js";
import { newCategory, newProduct } from "./product.js";

const EUR = { sellerId: 7, currencyCode: "EUR" };

const refuses = (act: () => unknown, reason: string, field: string) =>
  assert.throws(
    act,
    (error) =>
      isFailure(error, reason) &&
      error.code === "INVALID_ARGUMENT" &&
      error.metadata.field === field,
  );

describe("a new category", () => {
  const category = (name: string, description = "") => newCategory({ name, description }, 7);

  it("keeps its name and description without the space around them, and who made it", () => {
    assert.deepEqual(category("  Lamps ", " For the night. "), {
      name: "Lamps",
      description: "For the night.",
      createdBy: 7,
    });
  });

  it("has a name of 1 to 100 characters, counted as people see them", () => {
    assert.equal(category("💡".repeat(100)).name, "💡".repeat(100));
    for (const name of ["", "   ", "x".repeat(101), "a\u0000b", "a\nb"]) {
      refuses(() => category(name), "NAME_INVALID", "name");
    }
  });

  it("is the same name however its accents were typed", () => {
    assert.equal(category("Cafe\u0301").name, category("Caf\u00e9").name);
  });

  it("has a description of at most 1000 characters", () => {
    assert.equal(category("Lamps", "x".repeat(1_000)).description.length, 1_000);
    refuses(() => category("Lamps", "x".repeat(1_001)), "DESCRIPTION_INVALID", "description");
  });
});

describe("a new product", () => {
  const offered = (other: Partial<ReturnType<typeof product>>, terms = EUR) =>
    newProduct({ ...product(), ...other }, terms);

  it("keeps its price in minor units, and its seller", () => {
    assert.deepEqual(offered({ categoryIds: [3, 1] }), {
      name: "Lamp",
      priceMinor: 1_999,
      imageUrl: "/images/lamp.svg",
      unitsAvailable: 10,
      categoryIds: [3, 1],
      sellerId: 7,
    });
  });

  it("has a name of 1 to 200 characters", () => {
    assert.equal(offered({ name: "x".repeat(200) }).name.length, 200);
    for (const name of ["", " ", "x".repeat(201), "a\tb"]) {
      refuses(() => offered({ name }), "NAME_INVALID", "name");
    }
  });

  it("costs nothing or more, exactly, up to what an int32 of cents holds", () => {
    for (const [price, priceMinor] of [
      [0, 0],
      [0.01, 1],
      [1.1, 110],
      [0.29, 29],
      [21_474_836.47, 2_147_483_647],
    ] as const) {
      assert.equal(offered({ price }).priceMinor, priceMinor);
    }
    const refused = [
      -0.01,
      1.999,
      1e-7,
      21_474_836.48,
      1e308,
      Number.NaN,
      Number.POSITIVE_INFINITY,
    ];
    for (const price of refused) refuses(() => offered({ price }), "PRICE_INVALID", "price");
  });

  it("has as many decimals in its price as its currency", () => {
    assert.equal(offered({ price: 500 }, { ...EUR, currencyCode: "JPY" }).priceMinor, 500);
    assert.equal(offered({ price: 1.234 }, { ...EUR, currencyCode: "KWD" }).priceMinor, 1_234);
    refuses(
      () => offered({ price: 1.5 }, { ...EUR, currencyCode: "JPY" }),
      "PRICE_INVALID",
      "price",
    );
  });

  for (const imageUrl of [
    "",
    "/a.svg",
    "https://example.com/a?b=c",
    "http://example.com",
    "http://[2001:db8::1]:8080/ă.png",
  ]) {
    it(`may have the picture "${imageUrl}"`, () => {
      assert.equal(offered({ imageUrl }).imageUrl, imageUrl);
    });
  }

  for (const imageUrl of [
    "javascript:alert(1)",
    "data:image/png;base64,AAAA",
    "//example.com/a.png",
    "/\\example.com/a.png",
    "/a b.png",
    "a.png",
    "https://",
    " https://example.com",
    "https://example.com/a b.png",
    "https://example.com/\0",
    "https://example.com/\n",
    "https:\\\\example.com",
    "https://example.com@evil.example/",
    "https://:secret@example.com/",
    "https://[::1",
    "/\0",
    "/a\u0085.png",
    "file:///etc/passwd",
    "ftp://example.com/a.png",
    `/${"x".repeat(2_000)}`,
  ]) {
    it(`may not have the picture ${JSON.stringify(imageUrl.slice(0, 30))}`, () => {
      refuses(() => offered({ imageUrl }), "IMAGE_URL_INVALID", "imageUrl");
    });
  }

  it("has 0 to 1,000,000,000 units", () => {
    for (const unitsAvailable of [0, 1_000_000_000]) {
      assert.equal(offered({ unitsAvailable }).unitsAvailable, unitsAvailable);
    }
    for (const unitsAvailable of [-1, 1.5, 1_000_000_001, Number.NaN]) {
      refuses(() => offered({ unitsAvailable }), "UNITS_INVALID", "unitsAvailable");
    }
  });

  it("is in at most 20 categories, in each once", () => {
    const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
    assert.equal(offered({ categoryIds: upTo(20) }).categoryIds.length, 20);
    refuses(() => offered({ categoryIds: upTo(21) }), "CATEGORIES_INVALID", "categoriesIds");
    refuses(() => offered({ categoryIds: [1, 1] }), "CATEGORIES_INVALID", "categoriesIds");
    refuses(() => offered({ categoryIds: [0] }), "ID_INVALID", "categoriesIds");
  });
});
