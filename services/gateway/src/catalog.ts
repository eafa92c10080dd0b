/** Categories and products. */
import {
  CatalogServiceService,
  type ListProductsRequest,
  type Product,
  type ProductCategory,
} from "@piata/contracts/catalog";
import type { Money } from "@piata/contracts/money";
import { batched } from "@piata/kit/batch";
import { setBounded } from "@piata/kit/bounded-map";
import { coalesce } from "@piata/kit/coalesce";
import { type Context, together } from "@piata/kit/context";
import type { Failure } from "@piata/kit/errors";
import type { Log } from "@piata/kit/log";
import type { Metrics } from "@piata/kit/metrics";
import { units } from "@piata/kit/money";
import type { Channel } from "@piata/kit/rpc-client";
import { checkedId } from "@piata/kit/validate";
import { CatalogCache } from "./catalog-cache.js";
import { ChangeStream } from "./change-stream.js";
import { naming } from "./errors.js";
import type { GraphqlContext } from "./graphql-context.js";
import { PAGE_FIELDS, type PageArguments, pageRequest } from "./page.js";

/** A product as the schema has it; base and added fields. It is shared by those who ask for it. */
export interface ShownProduct {
  readonly id: number;
  readonly name: string;
  readonly price: number;
  readonly exactPrice: { readonly amountMinor: number; readonly currency: string };
  readonly unitsAvailable: number;
  readonly imageUrl: string;
  readonly categories: readonly ProductCategory[];
}

/** What other resolvers need of the catalog. */
export interface Catalog {
  /** At once when it is known. Throws NOT_FOUND / PRODUCT_NOT_FOUND. */
  product(context: Context, id: number): ShownProduct | Promise<ShownProduct>;
  /** Resolves when there is such a product. Throws NOT_FOUND / PRODUCT_NOT_FOUND. */
  checkProduct(context: Context, id: number): Promise<void>;
}

export interface CatalogOptions {
  metrics: Metrics;
  log: Log;
  /** Products that are kept in memory at most; 0 asks the catalog each time. */
  cacheProductsMax: number;
  /** A monotonic clock, in ms. */
  now?(): number;
}

export interface CategoryInput {
  name: string;
  description: string;
}

export interface ProductInput {
  name: string;
  price: number;
  imageUrl?: string | null;
  unitsAvailable: number;
  categoriesIds: number[];
}

interface ProductsArguments extends PageArguments {
  categoryId?: number | null;
}

/** A page that somebody wants. */
interface PageAsked {
  request: ListProductsRequest;
  context: Context;
}

/** The resolvers of categories and products, and the lookup that others share. */
export function catalog(channel: Channel, options: CatalogOptions) {
  const { metrics, cacheProductsMax } = options;
  const rpc = channel.client(CatalogServiceService);
  const cache = new CatalogCache({
    productsMax: cacheProductsMax,
    isLive: () => changes?.isLive === true,
    metrics,
  });
  const changes =
    cacheProductsMax === 0
      ? undefined
      : new ChangeStream({
          of: "the catalog's changes",
          watch: rpc.watchCatalog,
          changed: ({ productIds, categories }) => {
            for (const id of productIds) cache.dropProduct(id);
            if (categories) cache.dropCategories();
          },
          lost: () => cache.clear(),
          log: options.log,
          now: options.now,
        });
  const getProduct = batched(rpc.batchGetProducts, {
    name: "gateway.product",
    metrics,
    key: ({ productId }) => productId,
  });
  const getCategories = coalesce({
    ...metrics.batches("gateway.categories"),
    key: () => 0,
    context: (asked: Context) => asked,
    send: async (_, merged) => [(await rpc.listCategories({}, together(merged))).categories],
  });

  // Who looks at the same page as somebody else shares the answer, if they ask together.
  const listProducts = coalesce({
    ...metrics.batches("gateway.products"),
    key: ({ request }) => JSON.stringify(request),
    context: ({ context }) => context,
    send: (asked: PageAsked[], merged: PageAsked[]) => {
      const context = together(merged.map((one) => one.context));
      const pages = asked.map(async ({ request }) => {
        const { products, nextPageToken } = await rpc.listProducts(request, context);
        return { items: products.map(toGraphql), nextCursor: nextPageToken || null };
      });
      return Promise.all(pages.map((page) => page.catch((failure: Failure) => failure)));
    },
  });

  const product: Catalog["product"] = (context, productId) =>
    cache.findProduct(productId) ??
    cache.fetchProduct(productId, async () =>
      toGraphql((await getProduct(context, { productId })).product as Product),
    );
  // The catalog deletes no product: what it has once shown is there, whatever it costs by now, and also
  // while the catalog is away. Of one that is gone all the same, no order is made.
  const seen = new Map<number, true>();
  const checkProduct: Catalog["checkProduct"] = async (context, productId) => {
    if (seen.has(productId)) return;
    await product(context, productId);
    if (cacheProductsMax > 0) setBounded(seen, [productId, true], cacheProductsMax);
  };
  const categories = (context: Context) =>
    cache.findCategories() ?? cache.fetchCategories(() => getCategories(context));

  const resolvers = {
    Query: {
      categories: (_: unknown, __: unknown, { anyone }: GraphqlContext) => categories(anyone),
      product: (_: unknown, { id }: { id: number }, { anyone }: GraphqlContext) =>
        product(anyone, checkedId(id, "id")),
      products: async (_: unknown, page: ProductsArguments, { anyone }: GraphqlContext) => {
        const request = {
          categoryId: page.categoryId == null ? 0 : checkedId(page.categoryId, "categoryId"),
          ...pageRequest(page),
        };
        return naming(PAGE_FIELDS, listProducts({ request, context: anyone }));
      },
    },
    Mutation: {
      createCategory: async (
        _: unknown,
        { input }: { input: CategoryInput },
        context: GraphqlContext,
      ) => {
        const caller = await context.signedIn();
        const created = await rpc.createCategory(input, caller);
        // Who has just created it shall see it in the list, however soon they look.
        cache.dropCategories();
        return created.category;
      },
      createProduct: async (
        _: unknown,
        { input }: { input: ProductInput },
        context: GraphqlContext,
      ) => {
        const caller = await context.signedIn();
        const { categoriesIds, imageUrl, ...rest } = input;
        const request = {
          ...rest,
          imageUrl: imageUrl ?? "",
          categoryIds: categoriesIds,
        };
        const created = await rpc.createProduct(request, caller);
        return toGraphql(created.product as Product);
      },
    },
  };
  return { product, checkProduct, resolvers, close: async () => changes?.close() };
}

function toGraphql(product: Product): ShownProduct {
  const { id, name, unitsAvailable, imageUrl, categories } = product;
  const price = product.price as Money;
  return {
    id,
    name,
    price: units(price.amountMinor, price.currencyCode),
    exactPrice: toMoney(price),
    unitsAvailable,
    imageUrl,
    categories,
  };
}

export const toMoney = ({ amountMinor, currencyCode }: Money) => ({
  amountMinor,
  currency: currencyCode,
});
