/** Every SQL statement of the catalog. */
import type { Category, Product } from "@piata/contracts/catalog";
import { ConfigError } from "@piata/kit/config";
import { alreadyExists, notFound, resourceExhausted } from "@piata/kit/errors";
import { type Database, type Queries, statement, type Transaction, violates } from "@piata/kit/pg";
import type { NewCategory, NewProduct } from "./product.js";
import { decide, type ReservationRow, type Stock, type Wanted } from "./reservation.js";

export interface StoreOptions {
  currencyCode: string;
  /** Categories, and likewise products, that one user may create within 24 hours. */
  writesPerDay: number;
  /** Of the shop. */
  categoriesMax: number;
}

interface ProductRow extends Omit<Product, "price"> {
  priceMinor: number;
}

/** Categories, products, stock and reservations, in PostgreSQL. */
export class CatalogStore {
  readonly #db: Database;
  readonly #options: StoreOptions;

  constructor(db: Database, options: StoreOptions) {
    this.#db = db;
    this.#options = options;
  }

  /** Makes the currency the shop's. Throws ConfigError when there are products in another one. */
  async settleCurrency(): Promise<void> {
    const { currencyCode } = this.#options;
    const [settled] = await this.#db.rows(SETTLE_CURRENCY, [currencyCode]);
    if (!settled) {
      throw new ConfigError(`SHOP_CURRENCY cannot become ${currencyCode}: there are products.`);
    }
  }

  async listCategories(): Promise<Category[]> {
    return this.#db.rows<Category>(LIST_CATEGORIES);
  }

  /**
   * Throws ALREADY_EXISTS / CATEGORY_NAME_TAKEN; RESOURCE_EXHAUSTED / WRITE_QUOTA_USED_UP,
   * TOO_MANY_CATEGORIES.
   */
  async createCategory({ name, description, createdBy }: NewCategory): Promise<Category> {
    const { writesPerDay, categoriesMax } = this.#options;
    const values = [name, description, createdBy, writesPerDay, categoriesMax];
    const [created] = await this.#db.rows<Category>(CREATE_CATEGORY, values).catch((error) => {
      if (!violates(error, "categories_name_taken")) throw error;
      throw alreadyExists("CATEGORY_NAME_TAKEN", `There is a category "${name}" already.`, {
        field: "name",
      });
    });
    if (created) return created;
    const [total] = await this.#db.rows<{ count: number }>(COUNT_CATEGORIES);
    throw (total?.count ?? 0) < categoriesMax
      ? quotaUsedUp(writesPerDay)
      : tooManyCategories(categoriesMax);
  }

  /** Throws NOT_FOUND / CATEGORY_NOT_FOUND; RESOURCE_EXHAUSTED / WRITE_QUOTA_USED_UP. */
  async createProduct(product: NewProduct): Promise<Product> {
    const { writesPerDay } = this.#options;
    const [created] = await this.#db
      .rows<{ id: number }>(CREATE_PRODUCT, [
        product.name,
        product.priceMinor,
        product.imageUrl,
        product.sellerId,
        product.unitsAvailable,
        product.categoryIds,
        writesPerDay,
      ])
      .catch((error) => {
        if (!violates(error, "product_categories_category")) throw error;
        throw notFound("CATEGORY_NOT_FOUND", "categoriesIds names a category that is not there.", {
          field: "categoriesIds",
        });
      });
    if (!created) throw quotaUsedUp(writesPerDay);
    return (await this.findProducts([created.id])).get(created.id) as Product;
  }

  /** The products that exist, by id. */
  async findProducts(ids: number[]): Promise<Map<number, Product>> {
    const rows = await this.#db.rows<ProductRow>(FIND_PRODUCTS, [ids]);
    return new Map(rows.map((row) => [row.id, this.#product(row)]));
  }

  /** At most `limit` products after an id, of one category or (0) of all. */
  async listProducts(after: number, limit: number, categoryId: number): Promise<Product[]> {
    const rows = await this.#db.rows<ProductRow>(LIST_PRODUCTS, [after, limit, categoryId]);
    return rows.map((row) => this.#product(row));
  }

  /**
   * Holds the units of each order, all or none of an order's. One row per order decides: an order
   * that has one keeps its verdict. Answers by order id.
   */
  async reserve(wanted: Wanted[]): Promise<Map<number, ReservationRow>> {
    // Of an order that is in the batch twice, the first one counts.
    const orders = [...Map.groupBy(wanted, ({ orderId }) => orderId).values()]
      .map(([first]) => first as Wanted)
      .sort((a, b) => a.orderId - b.orderId);
    const ids = orders.map(({ orderId }) => orderId);
    const productIds = productsOf(orders);
    const { placed, rows } = await this.#db.transaction(async (tx) => {
      // The second sees what was committed while the first one waited.
      const [stock, standing] = await Promise.all([
        tx.rows<Stock>(LOCK_STOCK, [productIds]),
        reservations(tx, ids),
      ]);
      // An order that has its verdict takes nothing from its neighbours.
      const verdicts = decide(
        orders.filter(({ orderId }) => !standing.has(orderId)),
        stock,
      );
      const rows = new Map([...standing, ...verdicts.map((row) => [row.orderId, row] as const)]);
      if (verdicts.length === 0) return { placed: true, rows };
      const placed = await tx.lastRows<{ orderId: number }>(PLACE_RESERVATIONS, [
        verdicts.map(({ orderId }) => orderId),
        verdicts.map(({ state }) => state),
        verdicts.map(({ lines }) => JSON.stringify(lines)),
        verdicts.map(({ totalMinor }) => totalMinor),
        verdicts.map(({ refusalReason }) => refusalReason),
        verdicts.map(({ shortages }) => JSON.stringify(shortages)),
      ]);
      return { placed: placed.length === verdicts.length, rows };
    });
    // An order that was released in this very moment has its row from there.
    return placed ? rows : reservations(this.#db, ids);
  }

  /**
   * Moves each order's hold to its end, if it holds something. Answers with the rows there are
   * then.
   */
  async settle(orderIds: number[], to: "SOLD" | "RELEASED"): Promise<Map<number, ReservationRow>> {
    const ids = [...new Set(orderIds)].sort((a, b) => a - b);
    for (;;) {
      const rows = await this.#db.transaction((tx) => settleOnce(tx, ids, to));
      if (rows) return rows;
      const found = await reservations(this.#db, ids);
      // A Reserve that was committed in the midst of a release is there to be found now.
      const missed = to === "RELEASED" && [...found.values()].some(({ state }) => state === "HELD");
      if (!missed) return found;
    }
  }

  #product({ priceMinor, ...row }: ProductRow): Product {
    return {
      ...row,
      price: { amountMinor: priceMinor, currencyCode: this.#options.currencyCode },
    };
  }
}

// Like Reserve it locks stock first and reservations then, each in id order, so that no two batches
// wait for each other. Undefined when the rows are to be read again: somebody else was at them, or
// they were made just now.
async function settleOnce(tx: Transaction, ids: number[], to: "SOLD" | "RELEASED") {
  const rows = await reservations(tx, ids);
  const held = [...rows.values()].filter((row) => row.state === "HELD");
  const buries = to === "RELEASED" && rows.size < ids.length;
  const orderIds = held.map(({ orderId }) => orderId);
  // What comes last takes the COMMIT along.
  const settling = buries ? tx.rows : tx.lastRows;
  const [, settled] = await Promise.all([
    held.length > 0 ? tx.rows(LOCK_STOCK, [productsOf(held)]) : [],
    held.length > 0 ? settling<{ orderId: number }>(SETTLE, [orderIds, to]) : [],
    buries ? tx.lastRows(BURY, [ids]) : [],
  ]);
  for (const { orderId } of settled) {
    rows.set(orderId, { ...(rows.get(orderId) as ReservationRow), state: to });
  }
  return buries || settled.length < held.length ? undefined : rows;
}

const productsOf = (orders: { lines: { productId: number }[] }[]): number[] =>
  orders.flatMap(({ lines }) => lines.map(({ productId }) => productId));

async function reservations(tx: Queries, ids: number[]): Promise<Map<number, ReservationRow>> {
  const rows = await tx.rows<ReservationRow>(FIND_RESERVATIONS, [ids]);
  return new Map(rows.map((row) => [row.orderId, row]));
}

const quotaUsedUp = (writesPerDay: number) =>
  resourceExhausted(
    "WRITE_QUOTA_USED_UP",
    `You may create ${writesPerDay} within 24 hours; try again later.`,
    { limit: String(writesPerDay) },
  );

const tooManyCategories = (max: number) =>
  resourceExhausted("TOO_MANY_CATEGORIES", `The shop has ${max} categories, and takes no more.`, {
    limit: String(max),
  });

const SETTLE_CURRENCY = statement(
  "settle_currency",
  `insert into shop (currency_code) values ($1)
   on conflict (only_row) do update set currency_code = excluded.currency_code
     where shop.currency_code = excluded.currency_code or not exists (select from products)
   returning currency_code`,
);

const LIST_CATEGORIES = statement(
  "list_categories",
  `select id, name, description from categories order by name`,
);

const CREATE_CATEGORY = statement(
  "create_category",
  `insert into categories (name, description, created_by)
   select $1, $2, $3::integer
    where (select count(*) from categories
            where created_by = $3 and created_at > now() - interval '24 hours') < $4::integer
      and (select count(*) from categories) < $5::integer
   returning id, name, description`,
);

const COUNT_CATEGORIES = statement(
  "count_categories",
  `select count(*)::integer as count from categories`,
);

const CREATE_PRODUCT = statement(
  "create_product",
  `with product as (
     insert into products (name, price_minor, image_url, seller_id)
     select $1, $2::bigint, $3, $4::integer
      where (select count(*) from products
              where seller_id = $4 and created_at > now() - interval '24 hours') < $7::integer
     returning id
   ), stocked as (
     insert into stock (product_id, available) select id, $5::integer from product
   ), linked as (
     insert into product_categories (product_id, category_id)
     select product.id, category_id from product, unnest($6::integer[]) as category_id
   )
   select id from product`,
);

const PRODUCT = `
  p.id, p.name, p.price_minor as "priceMinor", p.image_url as "imageUrl",
  p.seller_id as "sellerId", s.available as "unitsAvailable",
  coalesce((select json_agg(json_build_object('id', c.id, 'name', c.name) order by c.id)
              from product_categories pc join categories c on c.id = pc.category_id
             where pc.product_id = p.id), '[]') as categories
  from products p join stock s on s.product_id = p.id`;

const FIND_PRODUCTS = statement("find_products", `select ${PRODUCT} where p.id = any($1)`);

const LIST_PRODUCTS = statement(
  "list_products",
  `select ${PRODUCT}
    where p.id > $1 and ($3::integer = 0 or exists (
            select from product_categories pc where pc.product_id = p.id and pc.category_id = $3))
    order by p.id
    limit $2`,
);

const LOCK_STOCK = statement(
  "lock_stock",
  `select s.product_id as "productId", s.available, p.price_minor as "priceMinor"
     from stock s join products p on p.id = s.product_id
    where s.product_id = any($1)
    order by s.product_id
      for update of s`,
);

// Only what was placed moves units: an order that has its row already keeps it.
const PLACE_RESERVATIONS = statement(
  "place_reservations",
  `with placed as (
     insert into reservations (order_id, state, lines, total_minor, refusal_reason, shortages)
     select order_id, state, lines::jsonb, total_minor, refusal_reason, shortages::jsonb
       from unnest($1::integer[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
         as verdict (order_id, state, lines, total_minor, refusal_reason, shortages)
      order by order_id
     on conflict (order_id) do nothing
     returning order_id, state, lines
   ), held as (
     select (line ->> 'productId')::integer as product_id,
            sum((line ->> 'quantity')::integer) as quantity
       from placed, jsonb_array_elements(lines) as line
      where state = 'HELD'
      group by 1
   ), moved as (
     update stock s
        set available = s.available - held.quantity, held = s.held + held.quantity
       from held
      where s.product_id = held.product_id
   )
   select order_id as "orderId" from placed`,
);

const FIND_RESERVATIONS = statement(
  "find_reservations",
  `select order_id as "orderId", state, lines, total_minor as "totalMinor",
          refusal_reason as "refusalReason", shortages
     from reservations
    where order_id = any($1)`,
);

const SETTLE = statement(
  "settle",
  `with settled as (
     update reservations
        set state = $2, updated_at = now()
      where order_id = any($1) and state = 'HELD'
     returning order_id, lines
   ), units as (
     select (line ->> 'productId')::integer as product_id,
            sum((line ->> 'quantity')::integer)::integer as quantity
       from settled, jsonb_array_elements(lines) as line
      group by 1
   ), moved as (
     update stock s
        set held = s.held - units.quantity,
            sold = s.sold + case when $2 = 'SOLD' then units.quantity else 0 end,
            available = s.available + case when $2 = 'RELEASED' then units.quantity else 0 end
       from units
      where s.product_id = units.product_id
   )
   select order_id as "orderId" from settled`,
);

// Releasing what never came leaves the final row, so that a late Reserve finds it.
const BURY = statement(
  "bury",
  `insert into reservations (order_id, state)
   select order_id, 'RELEASED' from unnest($1::integer[]) as order_id order by order_id
   on conflict (order_id) do nothing`,
);
