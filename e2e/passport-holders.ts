// What the gateway could ask for in a user's name, and what it could show as theirs.
import { generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import { AccessServiceService } from "@piata/contracts/access";
import { CartServiceService } from "@piata/contracts/cart";
import { CatalogServiceService } from "@piata/contracts/catalog";
import { type ItemContext, Role } from "@piata/contracts/item";
import { OrderServiceService } from "@piata/contracts/order";
import type { Status } from "@piata/contracts/rpc/status";
import { UserServiceService } from "@piata/contracts/user";
import { ownContext } from "@piata/kit/context";
import { fromStatus, isFailure } from "@piata/kit/errors";
import { signPassport } from "@piata/kit/passport";
import { Channel, type RpcClient } from "@piata/kit/rpc-client";
import { openTls } from "@piata/kit/tls";
import { keyOf, nobody } from "@piata/testkit/identity";
import type { Shop } from "@piata/testkit/shop";
import type { Person } from "./identities.ts";

const HOUR_MS = 3_600_000;
const PAGE = { pageSize: 1, pageToken: "" };

/** The services, as the gateway's certificate opens them. */
export class AsGateway {
  readonly access: RpcClient<AccessServiceService>;
  readonly user: RpcClient<UserServiceService>;
  readonly catalog: RpcClient<CatalogServiceService>;
  readonly cart: RpcClient<CartServiceService>;
  readonly order: RpcClient<OrderServiceService>;
  readonly #channels: readonly Channel[];

  private constructor(channels: [Channel, Channel, Channel, Channel]) {
    const [access, catalog, cart, order] = channels;
    this.#channels = channels;
    this.access = access.client(AccessServiceService);
    this.user = access.client(UserServiceService);
    this.catalog = catalog.client(CatalogServiceService);
    this.cart = cart.client(CartServiceService);
    this.order = order.client(OrderServiceService);
  }

  static async open(shop: Shop): Promise<AsGateway> {
    const tls = await openTls("TLS", join(shop.dataDir, "secrets/tls/gateway"));
    const channels = ["access", "catalog", "cart", "order"].map(async (service) => {
      const { address } = await shop.process(service);
      return new Channel({ service, target: address, caller: "gateway", tls });
    });
    return new AsGateway((await Promise.all(channels)) as [Channel, Channel, Channel, Channel]);
  }

  /** The passport that the gateway is given for a person's access token. */
  async passportOf({ client }: Person): Promise<string> {
    const items = [{ context: nobody, accessToken: client.token as string }];
    const { results } = await this.access.batchAuthenticate({ items }, soon());
    return results[0]?.identity?.passport as string;
  }

  close(): void {
    for (const channel of this.#channels) channel.close();
  }
}

export const soon = () => ownContext(10_000);

/** Asks of one item: nothing, or what the item came to. */
type AskFor = (as: AsGateway, context: ItemContext, owner: Person) => Promise<unknown>;

interface Batch {
  results: { failure?: Status | undefined }[];
}
const first = async (batch: Promise<Batch>): Promise<unknown> => {
  const [result] = (await batch).results;
  if (result?.failure) throw fromStatus(result.failure);
  return result;
};

/** Every RPC for users, asked for what is the owner's; harmless as long as it is refused. */
export const REQUESTS: Readonly<Record<string, AskFor>> = {
  "AccessService/Login": ({ access }, context, { account }) =>
    access.login(
      {
        ...account,
        password: "x".repeat(1_000),
        context,
        client: { address: "", userAgent: "" },
      },
      soon(),
    ),
  "AccessService/Refresh": ({ access }, context) =>
    access.refresh({ context, refreshToken: "" }, soon()),
  "AccessService/Logout": ({ access }, context) =>
    access.logout({ context, accessToken: "", refreshToken: "" }, soon()),
  "AccessService/ListSessions": ({ access }, context) => access.listSessions({ context }, soon()),
  "AccessService/RevokeSession": ({ access }, context, { elsewhere }) =>
    access.revokeSession({ context, sessionId: elsewhere.sessionId }, soon()),
  "UserService/RegisterUser": ({ user }, context) =>
    user.registerUser({ context, email: "", password: "" }, soon()),
  "UserService/GetUser": ({ user }, context) => user.getUser({ context }, soon()),
  "UserService/DeleteUser": ({ user }, context) => user.deleteUser({ context }, soon()),
  "UserService/ChangePassword": ({ user }, context, { account }) =>
    user.changePassword(
      { context, currentPassword: account.password, newPassword: account.email, address: "" },
      soon(),
    ),
  "CatalogService/BatchGetProducts": ({ catalog }, context, { productId }) =>
    first(catalog.batchGetProducts({ items: [{ context, productId }] }, soon())),
  "CatalogService/ListProducts": ({ catalog }, context) =>
    catalog.listProducts({ ...PAGE, context, categoryId: 0 }, soon()),
  "CatalogService/ListCategories": ({ catalog }, context) =>
    catalog.listCategories({ context }, soon()),
  "CatalogService/CreateCategory": ({ catalog }, context) =>
    catalog.createCategory({ context, name: "A trial", description: "" }, soon()),
  "CatalogService/CreateProduct": ({ catalog }, context) =>
    catalog.createProduct(
      { context, name: "A trial", price: 1, unitsAvailable: 1, imageUrl: "", categoryIds: [] },
      soon(),
    ),
  "CartService/BatchGetCarts": ({ cart }, context) =>
    first(cart.batchGetCarts({ items: [{ context }] }, soon())),
  "CartService/BatchChangeCarts": ({ cart }, context) =>
    first(cart.batchChangeCarts({ items: [{ context, clear: true }] }, soon())),
  "OrderService/BatchPlaceOrders": ({ order }, context) =>
    first(
      order.batchPlaceOrders(
        { items: [{ context, paymentMethod: "", idempotencyKey: "" }] },
        soon(),
      ),
    ),
  "OrderService/BatchGetOrders": ({ order }, context, { paidOrder }) =>
    first(order.batchGetOrders({ items: [{ context, orderId: paidOrder }] }, soon())),
  "OrderService/ListOrders": ({ order }, context) => order.listOrders({ ...PAGE, context }, soon()),
  "OrderService/CancelOrder": ({ order }, context, { paidOrder }) =>
    order.cancelOrder({ context, orderId: paidOrder }, soon()),
  "OrderService/RefundOrder": ({ order }, context, { paidOrder }) =>
    order.refundOrder({ context, orderId: paidOrder, amountMinor: 1, refundKey: "trial" }, soon()),
  "OrderService/ListSetAsideOrders": ({ order }, context) =>
    order.listSetAsideOrders({ ...PAGE, context }, soon()),
  "OrderService/RetryOrder": ({ order }, context, { paidOrder }) =>
    order.retryOrder({ context, orderId: paidOrder }, soon()),
};

/** What a request came to, as a cell has it. */
export async function outcome(asked: Promise<unknown>): Promise<string> {
  try {
    await asked;
    return "OK";
  } catch (error) {
    if (!isFailure(error)) throw error;
    return `${error.code} / ${error.reason}`;
  }
}

/** The contexts of the page's table that name a person and prove nothing, by the words of the table. */
export async function unproven(shop: Shop, person: Person): Promise<Record<string, ItemContext>> {
  const bearer = {
    userId: person.userId,
    role: Role.STAFF,
    sessionId: person.elsewhere.sessionId,
  };
  const ours = keyOf(shop.dataDir);
  const forger = { ...ours, privateKey: generateKeyPairSync("ed25519").privateKey };
  const inAnHour = new Date(Date.now() + HOUR_MS);
  const hourAgo = new Date(Date.now() - HOUR_MS);
  return {
    "no passport": nobody,
    "a user id, a role and a session, but no passport": { ...nobody, ...bearer },
    "a passport that another key has signed": {
      ...nobody,
      ...bearer,
      passport: await signPassport(forger, bearer, inAnHour),
    },
    "a passport whose time is over": {
      ...nobody,
      ...bearer,
      passport: await signPassport(ours, bearer, hourAgo),
    },
    "an access token for a passport": {
      ...nobody,
      ...bearer,
      passport: person.client.token as string,
    },
  };
}
