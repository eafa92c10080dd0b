/** The catalog's RPCs: who may call, what is well-formed, and the way into the store. */
import { Controller, Inject } from "@nestjs/common";
import * as rpc from "@piata/contracts/catalog";
import type { ItemContext } from "@piata/contracts/item";
import { answerEach } from "@piata/kit/batch";
import { signedIn, staff } from "@piata/kit/context";
import { failedPrecondition, notFound } from "@piata/kit/errors";
import { forUsers, onlyFrom, Rpc } from "@piata/kit/permission";
import type { Handlers } from "@piata/kit/rpc-server";
import { checkedId, checkedPage, pageToken } from "@piata/kit/validate";
import { Observable } from "rxjs";
import { Changes } from "./changes.js";
import { newCategory, newProduct } from "./product.js";
import { checkedWanted, type ReservationRow } from "./reservation.js";
import { CatalogStore } from "./store.js";

export interface CatalogRules {
  currencyCode: string;
  writers: "anyone" | "staff";
}

export const RULES = Symbol("CatalogRules");

/** Serves piata.catalog.v1.CatalogService. */
@Controller()
export class CatalogHandlers implements Handlers<rpc.CatalogServiceService> {
  readonly #store: CatalogStore;
  readonly #changes: Changes;
  readonly #rules: CatalogRules;

  constructor(
    @Inject(CatalogStore) store: CatalogStore,
    @Inject(Changes) changes: Changes,
    @Inject(RULES) rules: CatalogRules,
  ) {
    this.#store = store;
    this.#changes = changes;
    this.#rules = rules;
  }

  @Rpc("CatalogService", forUsers)
  async batchGetProducts({
    items,
  }: rpc.BatchGetProductsRequest): Promise<rpc.BatchGetProductsResponse> {
    const results = await answerEach(
      items,
      ({ productId }) => checkedId(productId, "id"),
      async (ids) => {
        const products = await this.#store.findProducts(ids);
        return ids.map((id) => {
          const product = products.get(id);
          return product ? { product } : productNotFound(id);
        });
      },
    );
    return { results };
  }

  @Rpc("CatalogService", forUsers)
  async listProducts(request: rpc.ListProductsRequest): Promise<rpc.ListProductsResponse> {
    const { limit, from } = checkedPage(request.pageSize, request.pageToken);
    const { categoryId } = request;
    if (categoryId !== 0) checkedId(categoryId, "categoryId");
    const products = await this.#store.listProducts(from, limit + 1, categoryId);
    const page = products.slice(0, limit);
    const last = page.at(-1);
    return {
      products: page,
      nextPageToken: last && products.length > limit ? pageToken(last.id) : "",
    };
  }

  @Rpc("CatalogService", forUsers)
  async listCategories(): Promise<rpc.ListCategoriesResponse> {
    return { categories: await this.#store.listCategories() };
  }

  @Rpc("CatalogService", forUsers)
  async createCategory(request: rpc.CreateCategoryRequest): Promise<rpc.CreateCategoryResponse> {
    const createdBy = this.#writer(request.context);
    const category = await this.#store.createCategory(newCategory(request, createdBy));
    this.#changes.pollSoon();
    return { category };
  }

  @Rpc("CatalogService", forUsers)
  async createProduct(request: rpc.CreateProductRequest): Promise<rpc.CreateProductResponse> {
    const sellerId = this.#writer(request.context);
    const { currencyCode } = this.#rules;
    const product = newProduct(request, { sellerId, currencyCode });
    return { product: await this.#store.createProduct(product) };
  }

  @Rpc("CatalogService", onlyFrom("order"))
  async batchReserve({ items }: rpc.BatchReserveRequest): Promise<rpc.BatchReserveResponse> {
    const results = await answerEach(items, checkedWanted, async (wanted) => {
      const rows = await this.#store.reserve(wanted);
      this.#changes.pollSoon();
      return wanted.map(({ orderId }) => ({
        reservation: this.#reservation(rows.get(orderId) as ReservationRow),
      }));
    });
    return { results };
  }

  @Rpc("CatalogService", onlyFrom("order"))
  async batchSell({ items }: rpc.BatchSellRequest): Promise<rpc.BatchSellResponse> {
    return { results: await this.#settle(items, "SOLD") };
  }

  @Rpc("CatalogService", onlyFrom("order"))
  async batchRelease({ items }: rpc.BatchReleaseRequest): Promise<rpc.BatchReleaseResponse> {
    return { results: await this.#settle(items, "RELEASED") };
  }

  @Rpc("CatalogService", onlyFrom("gateway"))
  watchCatalog(): Observable<rpc.WatchCatalogResponse> {
    return new Observable((subscriber) => this.#changes.watch(subscriber));
  }

  #writer(context: ItemContext | undefined): number {
    return this.#rules.writers === "staff" ? staff(context) : signedIn(context);
  }

  #settle(items: { orderId: number }[], to: "SOLD" | "RELEASED") {
    return answerEach(
      items,
      ({ orderId }) => checkedId(orderId, "order_id"),
      async (orderIds) => {
        const rows = await this.#store.settle(orderIds, to);
        if (to === "RELEASED") this.#changes.pollSoon();
        return orderIds.map((orderId) => {
          const row = rows.get(orderId);
          if (row?.state === to) return { reservation: this.#reservation(row) };
          const state = row?.state ?? "NONE";
          return failedPrecondition(
            "RESERVATION_STATE",
            `The units of order ${orderId} are ${state} and cannot become ${to}.`,
            { orderId: String(orderId), state },
          );
        });
      },
    );
  }

  #reservation(row: ReservationRow): rpc.Reservation {
    const { lines, refusalReason, shortages, totalMinor } = row;
    return {
      state: rpc.ReservationState[row.state],
      lines,
      refusalReason,
      shortages,
      total: { amountMinor: totalMinor, currencyCode: this.#rules.currencyCode },
    };
  }
}

const productNotFound = (id: number) =>
  notFound("PRODUCT_NOT_FOUND", `There is no product ${id}.`, { productId: String(id) });
