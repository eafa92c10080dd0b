import { test } from "node:test";
import { startShop } from "@piata/testkit/shop";
import { buyAsInReadme } from "./readme.ts";

test("the README's purchase goes through to PAID", async (t) => {
  const shop = await startShop({ demo: true });
  t.after(() => shop.stop());
  await buyAsInReadme(shop.url);
});
