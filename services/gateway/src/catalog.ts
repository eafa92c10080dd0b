/** Categories and products. */
import { CatalogServiceService, type Product } from "@piata/contracts/catalog";
import type { Money } from "@piata/contracts/money";
import { batched } from "@piata/kit/batch";
import { coalesce } from "@piata/kit/coalesce";
import { type Context, together } from "@piata/kit/context";
import type { Metrics } from "@piata/kit/metrics";
import { units } from "@piata/kit/money";
import type { Channel } from "@piata/kit/rpc-client";
import { checkedId } from "@piata/kit/validate";
import { naming } from "./errors.js";
import type { GraphqlContext } from "./graphql-context.js";
import { PAGE_FIELDS, type PageArguments, pageRequest } from "./page.js";

/** What other resolvers need of the catalog. */
export interface Catalog {
  /** Throws NOT_FOUND / PRODUCT_NOT_FOUND. */
  product(context: Context, id: number): Promise<Product>;
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

/** The resolvers of categories and products, and the lookup that others share. */
export function catalog(channel: Channel, metrics: Metrics) {
  const rpc = channel.client(CatalogServiceService);
  const getProduct = batched(rpc.batchGetProducts, {
    name: "gateway.product",
    metrics,
    key: ({ productId }) => productId,
  });
  const categories = coalesce({
    ...metrics.batches("gateway.categories"),
    key: () => 0,
    context: (asked: Context) => asked,
    send: async (_, merged) => [(await rpc.listCategories({}, together(merged))).categories],
  });

  const product: Catalog["product"] = async (context, productId) =>
    (await getProduct(context, { productId })).product as Product;

  const resolvers = {
    Query: {
      categories: (_: unknown, __: unknown, { anyone }: GraphqlContext) => categories(anyone),
      product: async (_: unknown, { id }: { id: number }, { anyone }: GraphqlContext) =>
        toGraphql(await product(anyone, checkedId(id, "id"))),
      products: async (_: unknown, page: ProductsArguments, { anyone }: GraphqlContext) => {
        const request = {
          categoryId: page.categoryId == null ? 0 : checkedId(page.categoryId, "categoryId"),
          ...pageRequest(page),
        };
        const listed = await naming(PAGE_FIELDS, rpc.listProducts(request, anyone));
        const { products, nextPageToken } = listed;
        return { items: products.map(toGraphql), nextCursor: nextPageToken || null };
      },
    },
    Mutation: {
      createCategory: async (
        _: unknown,
        { input }: { input: CategoryInput },
        context: GraphqlContext,
      ) => {
        const caller = await context.signedIn();
        return (await rpc.createCategory(input, caller)).category;
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
  return { product, resolvers };
}

/** A product as the schema has it; base and added fields. */
export function toGraphql(product: Product) {
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
