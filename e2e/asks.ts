// How each operation is asked for, on what is one's own, another's or does not exist.
import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { pageToken } from "@piata/kit/validate";
import type { Client } from "@piata/testkit/client";
import { type Crowd, currentSession, type Person } from "./identities.ts";
import { addToCart } from "./market.ts";

export type Whose = "own" | "another's" | "nothing's";

export interface Scene {
  crowd: Crowd;
  /** Who asks. */
  actor: Person;
  /** Whose it is that they ask for. */
  owner: Person;
  whose: Whose;
}

export interface Ask {
  variables: Record<string, unknown>;
  /** Whose access token is sent: the actor's, unless this sign-in or this user will not outlive it. */
  client?: Client;
}

/** No row of any table has it. */
const UNKNOWN_ID = 2_000_000_000;

/** One ask, or several that must have the same outcome. */
type Prepare = (scene: Scene) => Promise<Ask[]> | Ask[];

const of = (variables: Record<string, unknown> = {}): Ask[] => [{ variables }];
const inputOf = (input: Record<string, unknown>): Ask[] => of({ input });
const plain = () => of();

const idOf = ({ whose }: Scene, id: number): number => (whose === "nothing's" ? UNKNOWN_ID : id);

/** The right password: the actor's, or somebody's. */
const credentials: Prepare = ({ crowd, actor }) =>
  inputOf({ ...(actor.isSignedIn ? actor : crowd.the("customer")).account });

const pageAfterOrder: Prepare = (scene) =>
  of(scene.whose === "own" ? {} : { after: pageToken(idOf(scene, scene.owner.paidOrder)) });

/** Orders of both ends: neither may show that it is there. */
const bothOrders: Prepare = (scene) =>
  [scene.owner.paidOrder, scene.owner.failedOrder].flatMap((orderId) =>
    of({ orderId: idOf(scene, orderId) }),
  );

const refreshToken: Prepare = async ({ crowd, actor, owner, whose }) => {
  if (whose === "nothing's") return of({ token: randomBytes(32).toString("base64url") });
  if (whose === "own" && !actor.isSignedIn) return of({ token: actor.refreshToken });
  return of({ token: (await crowd.signIn(owner.account)).refreshToken });
};

/** A line of a cart, put there just before; whoever asks is not told of another's. */
async function lineIdOf({ actor, owner, whose }: Scene): Promise<number> {
  if (whose === "nothing's") return UNKNOWN_ID;
  if (whose === "another's" || actor.isSignedIn) await addToCart(owner.client, owner.lineId, 1);
  return owner.lineId;
}

/** A user who can be lost. */
async function ofExpendable({ crowd, actor }: Scene) {
  if (!actor.isSignedIn) return { account: actor.account, client: actor.client };
  const account = await crowd.newAccount(actor.identity);
  return { account, ...(await crowd.signIn(account)) };
}

export const ASKS: Readonly<Record<string, Prepare>> = {
  hello: plain,
  categories: plain,
  product: (scene) => of({ id: idOf(scene, scene.owner.productId) }),
  products: (scene) => {
    const { categoryId, productId } = scene.owner;
    if (scene.whose === "own") return of();
    return of({
      categoryId: idOf(scene, categoryId),
      after: pageToken(idOf(scene, productId)),
    });
  },
  cart: plain,
  orderStatus: bothOrders,
  orders: pageAfterOrder,
  setAsideOrders: pageAfterOrder,
  me: plain,
  sessions: plain,
  login: credentials,
  signIn: credentials,
  logout: async ({ crowd, actor }) => {
    if (!actor.isSignedIn) return of();
    const { client } = await crowd.signIn(actor.account);
    return [{ variables: {}, client }];
  },
  refresh: refreshToken,
  refreshTokens: refreshToken,
  registerUser: () => inputOf({ email: `${randomUUID()}@example.com`, password: randomUUID() }),
  changePassword: async (scene) => {
    const { account, client } = await ofExpendable(scene);
    const input = { currentPassword: account.password, newPassword: randomUUID() };
    return [{ variables: { input }, client }];
  },
  revokeSession: async ({ crowd, actor, owner, whose }) => {
    // Of the form of an id, and not.
    if (whose === "nothing's") return [...of({ id: randomUUID() }), ...of({ id: "1" })];
    if (whose === "another's" || !actor.isSignedIn) return of({ id: owner.elsewhere.sessionId });
    return of({ id: await currentSession((await crowd.signIn(actor.account)).client) });
  },
  deleteMe: async (scene) => {
    const { client } = await ofExpendable(scene);
    return [{ variables: {}, client }];
  },
  createCategory: () => inputOf({ name: randomUUID(), description: "" }),
  createProduct: (scene) =>
    inputOf({
      name: "Cheese",
      price: 1,
      unitsAvailable: 1,
      categoriesIds: [idOf(scene, scene.owner.categoryId)],
    }),
  addToCart: (scene) => inputOf({ productId: idOf(scene, scene.owner.productId), quantity: 1 }),
  updateItemQuantity: async (scene) =>
    inputOf({ productId: await lineIdOf(scene), newQuantity: 2 }),
  removeItem: async (scene) => of({ productId: await lineIdOf(scene) }),
  clearCart: plain,
  initOrder: async ({ actor, owner, whose }) => {
    if (actor.isSignedIn) await addToCart(actor.client, actor.productId, 1);
    if (whose === "own") return of();
    return of({ idempotencyKey: whose === "another's" ? owner.idempotencyKey : randomUUID() });
  },
  cancelOrder: async (scene) => {
    const { actor, whose } = scene;
    if (whose !== "own" || !actor.isSignedIn) return bothOrders(scene);
    await addToCart(actor.client, actor.productId, 1);
    const { initOrder } = await actor.client.ask<{ initOrder: { orderId: number } }>(
      'mutation { initOrder(paymentMethod: "slow") { orderId } }',
    );
    return of(initOrder);
  },
  refundOrder: (scene) =>
    inputOf({
      orderId: idOf(scene, scene.owner.paidOrder),
      amountMinor: 1,
      refundKey: randomUUID(),
    }),
  retryOrder: bothOrders,
};

type Answer = Record<string, unknown>;

/** What an answer that is no error shows must be the actor's; or the owner's, of whom a token is. */
const SHOWN: Readonly<Record<string, (answer: never, scene: Scene) => void>> = {
  me: ({ id }: { id: number }, { actor }) => assert.equal(id, actor.userId),
  cart: (cart: { userId: number }, { actor }) => assert.equal(cart.userId, actor.userId),
  orders: ({ items }: { items: { id: number }[] }, { crowd, actor }) => {
    const shown = new Set(items.map(({ id }) => id));
    for (const other of crowd.everyone.filter(({ userId }) => userId !== actor.userId)) {
      assert.ok(!shown.has(other.paidOrder) && !shown.has(other.failedOrder));
    }
  },
  sessions: (sessions: { id: string }[], { crowd, actor }) => {
    const shown = new Set(sessions.map(({ id }) => id));
    for (const { userId, elsewhere } of crowd.everyone) {
      assert.equal(shown.has(elsewhere.sessionId), userId === actor.userId);
    }
  },
  initOrder: ({ orderId }: { orderId: number }, { owner, whose }) => {
    if (whose === "another's") assert.notEqual(orderId, owner.paidOrder);
  },
  refresh: (token: string, { owner }) => assert.equal(subjectOf(token), owner.userId),
  refreshTokens: ({ accessToken }: { accessToken: string }, { owner }) =>
    assert.equal(subjectOf(accessToken), owner.userId),
};

/** Fails when the answer shows anything but what is the actor's. */
export function assertTheirs(name: string, data: Answer | null | undefined, scene: Scene): void {
  SHOWN[name]?.(data?.[name] as never, scene);
}

function subjectOf(token: string): number {
  const [, claims = ""] = token.split(".");
  return Number(JSON.parse(Buffer.from(claims, "base64url").toString()).sub);
}
