// Everyone whom docs/permissions.md knows, each with something of their own.
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { Role } from "@piata/contracts/item";
import { UserServiceService } from "@piata/contracts/user";
import { ownContext } from "@piata/kit/context";
import { Channel } from "@piata/kit/rpc-client";
import { openTls } from "@piata/kit/tls";
import type { Client } from "@piata/testkit/client";
import type { Shop } from "@piata/testkit/shop";
import { until } from "@piata/testkit/until";
import { addToCart, ending, offer, order } from "./market.ts";

export const IDENTITIES = ["nobody", "customer", "other customer", "staff", "revoked"] as const;
export type Identity = (typeof IDENTITIES)[number];

export interface Account {
  readonly email: string;
  readonly password: string;
}

/** A sign-in. */
export interface SignIn {
  /** Sends its access token; nobody's sends none. */
  readonly client: Client;
  readonly refreshToken: string;
}

/** Somebody, and what is theirs. */
export interface Person extends SignIn {
  readonly identity: Identity;
  /** Whether their token is good. */
  readonly isSignedIn: boolean;
  readonly account: Account;
  readonly userId: number;
  /** Another sign-in of theirs. */
  readonly elsewhere: { client: Client; sessionId: string };
  readonly paidOrder: number;
  readonly failedOrder: number;
  /** That they ordered with. */
  readonly idempotencyKey: string;
  /** That they offer. */
  readonly productId: number;
  readonly categoryId: number;
  /** A product that nobody else puts into the cart. */
  readonly lineId: number;
}

/** The ways to lose a session that stays good by its time. */
const WAYS_OUT: ((person: Person) => Promise<unknown>)[] = [
  ({ client }) => client.ask("mutation { logout }"),
  ({ client }) => client.ask("mutation { deleteMe }"),
  ({ elsewhere, account }) =>
    elsewhere.client.ask(
      "mutation ($input: ChangePasswordInput!) { changePassword(input: $input) }",
      { input: { currentPassword: account.password, newPassword: randomUUID() } },
    ),
  ({ client, elsewhere }) =>
    currentSession(client).then((id) =>
      elsewhere.client.ask("mutation ($id: String!) { revokeSession(id: $id) }", { id }),
    ),
];

/** One person of each identity, and of the revoked one for each way to become that. */
export class Crowd {
  readonly everyone: readonly Person[];
  readonly #operator: Channel;
  readonly #shop: Shop;

  private constructor(shop: Shop, operator: Channel, everyone: Person[]) {
    this.#shop = shop;
    this.#operator = operator;
    this.everyone = everyone;
  }

  static async gather(shop: Shop): Promise<Crowd> {
    const operator = new Channel({
      service: "access",
      target: (await shop.process("access")).address,
      caller: "operator",
      tls: await openTls("TLS", join(shop.dataDir, "secrets/tls/operator")),
    });
    const crowd = new Crowd(shop, operator, []);
    const users = await Promise.all(
      [...IDENTITIES.slice(1, -1), ...WAYS_OUT.map(() => "revoked" as const)].map((identity) =>
        crowd.#person(identity),
      ),
    );
    const revoked = users.filter(({ identity }) => identity === "revoked");
    await Promise.all(revoked.map((person, index) => WAYS_OUT[index]?.(person)));
    await Promise.all(revoked.map(({ client }) => until(() => isRefused(client))));
    const [customer] = users as [Person];
    const nobody = {
      ...customer,
      identity: "nobody" as const,
      client: shop.client(),
      refreshToken: "",
      isSignedIn: false,
    };
    return new Crowd(shop, operator, [nobody, ...users]);
  }

  the(identity: Identity): Person {
    return this.everyone.find((person) => person.identity === identity) as Person;
  }

  /** Whose things are another's to somebody: those of a customer. */
  otherThan(person: Person): Person {
    return this.the(person.identity === "customer" ? "other customer" : "customer");
  }

  /** An account of the same role, for what can be done to it once. */
  async newAccount(identity: Identity): Promise<Account> {
    const account = { email: `${randomUUID()}@example.com`, password: randomUUID() };
    await this.#shop
      .client()
      .ask("mutation ($input: RegisterUserInput!) { registerUser(input: $input) }", {
        input: account,
      });
    if (identity === "staff") {
      const { setUserRole } = this.#operator.client(UserServiceService);
      await setUserRole({ email: account.email, role: Role.STAFF, context: undefined }, soon());
    }
    return account;
  }

  async signIn(input: Account): Promise<SignIn> {
    const { signIn } = await this.#shop
      .client()
      .ask<{ signIn: { accessToken: string; refreshToken: string } }>(
        "mutation ($input: AuthLoginInput!) { signIn(input: $input) { accessToken refreshToken } }",
        { input },
      );
    return { client: this.#shop.client(signIn.accessToken), refreshToken: signIn.refreshToken };
  }

  close(): void {
    this.#operator.close();
  }

  async #person(identity: Identity): Promise<Person> {
    const account = await this.newAccount(identity);
    const [here, elsewhere] = [await this.signIn(account), await this.signIn(account)];
    const { client } = here;
    const [{ me }, sessionId, productId, lineId, categoryId] = await Promise.all([
      client.ask<{ me: { id: number } }>("{ me { id } }"),
      currentSession(elsewhere.client),
      offer(client, 1_000),
      offer(client, 1_000),
      createCategory(client),
    ]);
    const idempotencyKey = randomUUID();
    await addToCart(client, productId, 1);
    const failedOrder = await order(client, "declined");
    await ending(client, failedOrder);
    // The line is back in the cart.
    const { initOrder } = await client.ask<{ initOrder: { orderId: number } }>(
      "mutation ($key: String) { initOrder(idempotencyKey: $key) { orderId } }",
      { key: idempotencyKey },
    );
    await ending(client, initOrder.orderId);
    await addToCart(client, lineId, 1);
    return {
      identity,
      isSignedIn: identity !== "revoked",
      account,
      userId: me.id,
      ...here,
      elsewhere: { client: elsewhere.client, sessionId },
      paidOrder: initOrder.orderId,
      failedOrder,
      idempotencyKey,
      productId,
      categoryId,
      lineId,
    };
  }
}

const soon = () => ownContext(10_000);

/** The id of the session of a client's token. */
export async function currentSession(client: Client): Promise<string> {
  const { sessions } = await client.ask<{ sessions: { id: string; current: boolean }[] }>(
    "{ sessions { id current } }",
  );
  return sessions.find(({ current }) => current)?.id ?? "";
}

async function createCategory(client: Client): Promise<number> {
  const { createCategory: created } = await client.ask<{ createCategory: { id: number } }>(
    "mutation ($input: CreateCategoryInput!) { createCategory(input: $input) { id } }",
    { input: { name: randomUUID(), description: "" } },
  );
  return created.id;
}

async function isRefused(client: Client): Promise<boolean> {
  const { errors } = await client.graphql("{ cart { userId } }");
  return errors[0]?.extensions?.reason === "SESSION_ENDED";
}
