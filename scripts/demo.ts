// Loads the demo catalogue as a seller would: through the GraphQL API.
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CATEGORIES, type DemoProduct, PRODUCTS } from "./demo-catalogue.ts";
import { draw } from "./demo-pictures.ts";
import { findText, writeWhole } from "./files.ts";
import { openSecrets, type Secrets } from "./secrets.ts";

const SELLER = "seller@example.com";
const REQUEST_TIMEOUT_MS = 15_000;
const PAGE_SIZE = 100;
const CREATED_AT_ONCE = 10;

interface Named {
  readonly id: number;
  readonly name: string;
}

type Send = <T>(query: string, variables?: Record<string, unknown>) => Promise<T>;

/** Says what it loaded. Only what is missing is created: a load that was cut short is completed. */
export async function loadDemo(url: string, dataDir: string): Promise<string | undefined> {
  const done = join(dataDir, "demo.done");
  if ((await findText(done)) !== undefined) return undefined;
  for (const product of PRODUCTS) {
    await writeFile(join(dataDir, "images", `${slug(product.name)}.svg`), draw(product.picture));
  }
  const secrets = await openSecrets(join(dataDir, "secrets.json"));
  const loaded = await loadInto(url, secrets, imageOf);
  await writeWhole(done, `${new Date().toISOString()}\n`);
  return loaded;
}

/** The same for any shop; `imageUrl` says where the picture of a product is, "" for nowhere. */
export async function loadInto(
  url: string,
  secrets: Secrets,
  imageUrl: (name: string) => string,
): Promise<string> {
  const send = await signIn(url, secrets);
  const categories = await createCategories(send);
  await createProducts(send, (product) => inputOf(product, categories, imageUrl(product.name)));
  return `demo catalogue: ${PRODUCTS.length} products in ${CATEGORIES.length} categories`;
}

const imageOf = (name: string): string => `/images/${slug(name)}.svg`;

async function signIn(url: string, secrets: Secrets): Promise<Send> {
  const known = secrets.find("demo.seller");
  const password = known ?? randomBytes(18).toString("base64url");
  // Kept before it is used: a seller whose password nobody knows could not complete the load.
  if (known === undefined) await secrets.keep("demo.seller", password);
  const input = { email: SELLER, password };
  const anonymous = sender(url);
  try {
    await anonymous("mutation ($input: RegisterUserInput!) { registerUser(input: $input) }", {
      input,
    });
  } catch (error) {
    if ((error as GraphqlError).code !== "ALREADY_EXISTS") throw error;
  }
  const { login } = await anonymous<{ login: string }>(
    "mutation ($input: AuthLoginInput!) { login(input: $input) }",
    { input },
  );
  return sender(url, login);
}

async function createCategories(send: Send): Promise<Map<string, number>> {
  const { categories } = await send<{ categories: Named[] }>("{ categories { id name } }");
  const ids = new Map(categories.map(({ id, name }) => [name, id]));
  for (const input of CATEGORIES) {
    if (ids.has(input.name)) continue;
    const { createCategory } = await send<{ createCategory: Named }>(
      "mutation ($input: CreateCategoryInput!) { createCategory(input: $input) { id name } }",
      { input },
    );
    ids.set(createCategory.name, createCategory.id);
  }
  return ids;
}

async function createProducts(
  send: Send,
  inputOf: (product: DemoProduct) => object,
): Promise<void> {
  const existing = await productNames(send);
  const missing = PRODUCTS.filter(({ name }) => !existing.has(name));
  for (let first = 0; first < missing.length; first += CREATED_AT_ONCE) {
    const inputs = missing.slice(first, first + CREATED_AT_ONCE);
    // The fields of a mutation run one after the other, so the ids follow the list.
    const declared = inputs.map((_, index) => `$p${index}: CreateProductInput!`).join(", ");
    const fields = inputs.map((_, index) => `p${index}: createProduct(input: $p${index}) { id }`);
    const variables = inputs.map((product, index) => [`p${index}`, inputOf(product)]);
    await send(
      `mutation (${declared}) { ${fields.join(" ")} }`,
      Object.fromEntries(variables) as Record<string, unknown>,
    );
  }
}

function inputOf(
  product: DemoProduct,
  categories: ReadonlyMap<string, number>,
  imageUrl: string,
): object {
  return {
    name: product.name,
    price: product.price,
    unitsAvailable: product.stock,
    imageUrl,
    categoriesIds: product.categories.map((name) => categories.get(name)),
  };
}

async function productNames(send: Send): Promise<Set<string>> {
  const names = new Set<string>();
  let after: string | null = null;
  do {
    type Page = { products: { items: Named[]; nextCursor: string | null } };
    const { products }: Page = await send<Page>(
      `query ($first: Int, $after: String) {
        products(first: $first, after: $after) { items { id name } nextCursor }
      }`,
      { first: PAGE_SIZE, after },
    );
    for (const { name } of products.items) names.add(name);
    after = products.nextCursor;
  } while (after !== null);
  return names;
}

class GraphqlError extends Error {
  readonly code: string | undefined;

  constructor(message: string, code: string | undefined) {
    super(message);
    this.code = code;
  }
}

function sender(url: string, token?: string): Send {
  return async (query, variables = {}) => {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const { data, errors } = (await response.json()) as {
      data: never;
      errors?: { message: string; extensions?: { code?: string } }[];
    };
    const [error] = errors ?? [];
    if (error !== undefined) throw new GraphqlError(error.message, error.extensions?.code);
    return data;
  };
}

/** The name in the letters that a file name and a URL can have. */
function slug(name: string): string {
  return name
    .normalize("NFD")
    .replace(/\p{Mark}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
}
