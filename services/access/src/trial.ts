/** For tests: instances of the real program with a key, a database and a cart of the test's own. */
import { generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Controller } from "@nestjs/common";
import { AccessServiceService, type Tokens } from "@piata/contracts/access";
import * as cart from "@piata/contracts/cart";
import { type User, UserServiceService } from "@piata/contracts/user";
import { Secret } from "@piata/kit/config";
import { ownContext } from "@piata/kit/context";
import { openLog } from "@piata/kit/log";
import { Metrics } from "@piata/kit/metrics";
import { migrate } from "@piata/kit/migrate";
import type { SigningKey } from "@piata/kit/passport";
import { onlyFrom, Rpc } from "@piata/kit/permission";
import { Database, statement } from "@piata/kit/pg";
import type { ProgramServer } from "@piata/kit/program-server";
import { Channel, type RpcClient } from "@piata/kit/rpc-client";
import { startRpcServer } from "@piata/kit/rpc-server";
import { createTestDatabase, type TestDatabase } from "@piata/testkit/database";
import { keyFiles } from "@piata/testkit/identity";
import { type RunningService, startService } from "@piata/testkit/service";
import { originOf } from "./origin.js";
import { openSigningKey, publicJwk } from "./signing-key.js";

const migrations = new URL("../migrations/", import.meta.url);
const RPC_TIMEOUT_MS = 10_000;

export interface KeyPair extends SigningKey {
  /** Its private part, and a key set of its public part. */
  file: string;
  publicKeysFile: string;
  publicKey: KeyObject;
  remove(): Promise<void>;
}

/** A key of its own, in files. */
export async function createKeyPair(): Promise<KeyPair> {
  const folder = await mkdtemp(join(tmpdir(), "piata-access-"));
  const file = join(folder, "key.pem");
  const publicKeysFile = join(folder, "keys.json");
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  await writeFile(file, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  const key = await openSigningKey(file);
  await writeKeySet(publicKeysFile, key);
  const remove = () => rm(folder, { recursive: true, force: true });
  return { ...key, file, publicKeysFile, publicKey, remove };
}

/** Writes the public parts of keys as a set. */
export const writeKeySet = (file: string, ...keys: SigningKey[]): Promise<void> =>
  writeFile(file, JSON.stringify({ keys: keys.map(publicJwk) }));

/** How a database of access is made. */
export const accessDatabase = {
  template: "access",
  migrations,
  prepare: (url: string) => migrate(new Secret(url), migrations),
};

export const createDatabase = (): Promise<TestDatabase> => createTestDatabase(accessDatabase);

export interface Instance {
  service: RunningService;
  /** As the gateway. */
  access: RpcClient<AccessServiceService>;
  user: RpcClient<UserServiceService>;
  operator: RpcClient<UserServiceService>;
}

/** One shop's access: any number of instances over one database, with the key of passports. */
export class Trial {
  readonly key: SigningKey;
  readonly #database: TestDatabase;
  readonly #db: Database;
  readonly #stops: (() => unknown)[] = [];

  private constructor(key: SigningKey, database: TestDatabase) {
    this.key = key;
    this.#database = database;
    this.#db = new Database(new Secret(database.url), { program: "test", connectionsMax: 1 });
  }

  static async open(): Promise<Trial> {
    return new Trial(await openSigningKey(keyFiles().signingKey), await createDatabase());
  }

  async start(env: Record<string, string> = {}): Promise<Instance> {
    const service = await startService("access", {
      ACCESS_DATABASE_URL: this.#database.url,
      CART_TARGET: "127.0.0.1:1",
      ...env,
    });
    const as = (caller: string) =>
      new Channel({ service: "access", target: service.address, caller });
    const [gateway, operator] = [as("gateway"), as("operator")];
    this.#stops.push(async () => {
      gateway.close();
      operator.close();
      await service.stop();
    });
    return {
      service,
      access: gateway.client(AccessServiceService),
      user: gateway.client(UserServiceService),
      operator: operator.client(UserServiceService),
    };
  }

  /** A statement as nobody but a test would send it. */
  rows<Row>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return this.#db.rows<Row>(statement("", sql), values);
  }

  async close(): Promise<void> {
    for (const stop of this.#stops.reverse()) await stop();
    await this.#db.close();
    await this.#database.drop();
  }
}

/** Where nobody knows who signs in. */
export const NOWHERE = originOf();

export const within = () => ownContext(RPC_TIMEOUT_MS);

export const PASSWORD = "correct horse battery";

export interface Account {
  user: User;
  email: string;
  tokens: Tokens;
}

/** A user of the test's own who has just signed in, from an address if it is told. */
export async function newAccount(
  { access, user: users }: Instance,
  address?: string,
): Promise<Account> {
  const email = `${randomBytes(8).toString("hex")}@example.com`;
  const request = { email, password: PASSWORD };
  const { user } = await users.registerUser(request, within());
  const client = address === undefined ? undefined : { address, userAgent: "test" };
  const { tokens } = await access.login({ ...request, client }, within());
  return { user: user as User, email, tokens: tokens as Tokens };
}

/** A cart service that only erases, and remembers whom. */
export async function startCart(port = 0): Promise<{ server: ProgramServer; erased: number[] }> {
  const erased: number[] = [];

  @Controller()
  class CartHandlers {
    @Rpc("CartService", onlyFrom("access"))
    async batchErase({ items }: cart.BatchEraseRequest): Promise<cart.BatchEraseResponse> {
      erased.push(...items.map(({ context }) => context?.userId ?? 0));
      return { results: items.map(() => ({})) };
    }
  }

  const { batchErase } = cart.CartServiceService;
  const server = await startRpcServer({
    host: "127.0.0.1",
    port,
    log: openLog("cart", "silent"),
    metrics: new Metrics("cart"),
    services: { "piata.cart.v1.CartService": { batchErase } },
    controllers: [CartHandlers],
    providers: [],
  });
  return { server, erased };
}
