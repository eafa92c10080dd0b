// Who is called how, with what: the lanes of the fuzz, one per RPC.
import { AccessServiceService } from "@piata/contracts/access";
import { CartServiceService } from "@piata/contracts/cart";
import { CatalogServiceService } from "@piata/contracts/catalog";
import { DiscoveryServiceService } from "@piata/contracts/discovery";
import { OrderServiceService } from "@piata/contracts/order";
import { PaymentServiceService } from "@piata/contracts/payment";
import { UserServiceService } from "@piata/contracts/user";
import fc, { type Arbitrary } from "fast-check";
import { type Fields, type Hints, Messages, type Rpc, readProtos } from "./rpc-fuzz-messages.ts";
import { FIRST_ORDER_ID, type Known, type Name } from "./rpc-fuzz-shop.ts";

interface Method {
  path: string;
  responseStream: boolean;
  responseDeserialize(bytes: Buffer): unknown;
}

const METHODS = new Map(
  [
    AccessServiceService,
    UserServiceService,
    CatalogServiceService,
    CartServiceService,
    OrderServiceService,
    PaymentServiceService,
    DiscoveryServiceService,
  ]
    .flatMap((definition) => Object.values(definition as Record<string, Method>))
    .map((method) => [method.path, method]),
);

/** Who may call, where it is not the gateway; by the end of the path. */
const CALLERS: Readonly<Record<string, string>> = {
  BatchTake: "order",
  BatchRestore: "order",
  BatchForget: "order",
  BatchErase: "access",
  BatchReserve: "order",
  BatchSell: "order",
  BatchRelease: "order",
  BatchCharge: "order",
  BatchVoid: "order",
  BatchRefund: "order",
  Reconcile: "operator",
  SetUserRole: "operator",
  Heartbeat: "catalog",
  Withdraw: "catalog",
};

/** In hundredths of the others' share: those that look at a whole book, or wait for news. */
const SHARES: Readonly<Record<string, number>> = {
  Reconcile: 2,
  ListCategories: 10,
  Watch: 10,
  WatchCatalog: 10,
  WatchRevocations: 10,
};

/** A message on its way, which prints as what repeats it. */
export class Shot {
  readonly caller: string;
  readonly bytes: Buffer;

  constructor(caller: string, bytes: Buffer) {
    this.caller = caller;
    this.bytes = bytes;
  }

  [fc.toStringMethod](): string {
    const hex = this.bytes.toString("hex");
    const shown = hex.length > 1_000 ? `${hex.slice(0, 1_000)}… (${this.bytes.length} bytes)` : hex;
    return `from ${JSON.stringify(this.caller)}: ${shown}`;
  }
}

export interface Lane {
  path: string;
  service: Name;
  /** Who may call it. */
  caller: string;
  streams: boolean;
  /** Of all messages, its part is this over the sum of all. */
  share: number;
  shots: Arbitrary<Shot>;
  decode(bytes: Buffer): unknown;
}

const upTo = (count: number, first: number) => Array.from({ length: count }, (_, n) => first + n);

// A trusted caller may say anything of any order and user. So that honest ones stay honest, the fuzz
// names others: what order and access say of their own is in the range of theirs.
function hintsOf(path: string, known: Known): Hints {
  const productIds = known.products.map(({ id }) => id);
  const isOrder = path.includes(".order.");
  const erases = path.endsWith("BatchErase");
  return {
    texts: {
      email: known.emails,
      password: known.passwords,
      current_password: known.passwords,
      new_password: known.passwords,
      access_token: known.tokens,
      refresh_token: known.tokens,
      passport: known.passports,
      address: ["127.0.0.1:1", "[::1]:1", "127.0.0.1", "::1", "127.0.0.1:99999"],
      http_address: ["127.0.0.1:1"],
      id: ["instance-1", "instance-2"],
      instance_id: ["instance-1", "instance-2"],
      service: ["catalog", "cart"],
      version: ["1.0.0"],
      name: ["Cheese", "Bread"],
      image_url: ["https://example.com/a.png", "/images/a.svg"],
      page_token: ["MQ", "MTA"],
      currency_code: ["EUR", "EUR", "USD", "eur"],
      payment_method: ["success", "declined", "slow", "answer-lost", "answer-lost-before"],
      idempotency_key: ["key-1", "key-2"],
      refund_key: ["key-1", "key-2", "key-3"],
      trace_id: ["0123456789abcdef0123456789abcdef"],
      span_id: ["0123456789abcdef"],
      user_agent: ["fuzz"],
      description: ["Of many kinds"],
    },
    numbers: {
      product_id: productIds,
      remove_product_id: productIds,
      quantity: [1, 2, 3, 999],
      order_id: upTo(30, isOrder ? FIRST_ORDER_ID : 1_000_000),
      user_id: erases ? upTo(30, 900) : known.userIds,
      timeout_ms: [1, 60, 5_000, 10_000],
      page_size: [1, 20, 100],
      category_ids: [1, 2],
      category_id: [1, 2],
      units_available: [0, 1, 1_000_000_000],
    },
    onlyNumbers: new Set(["order_id"]),
  };
}

function laneOf({ path, requestType }: Rpc, fields: Fields, known: Known): Lane {
  const method = METHODS.get(path);
  if (!method) throw new Error(`${path} is not generated.`);
  const [, packageName = "", name = ""] = /^\/piata\.(\w+)\..+\/(\w+)$/.exec(path) ?? [];
  const caller = CALLERS[name] ?? "gateway";
  // The pool lives on: of those who delete themselves, none is in it.
  const ownKnown = name === "DeleteUser" ? { ...known, passports: known.leaving } : known;
  const messages = new Messages(fields, hintsOf(path, ownKnown));
  const callers = fc.oneof(
    { weight: 60, arbitrary: fc.constant(caller) },
    { weight: 1, arbitrary: fc.constantFrom("", "gateway", "order", "nobody", "__proto__") },
  );
  return {
    path,
    service: (packageName === "user" ? "access" : packageName) as Name,
    caller,
    streams: method.responseStream,
    share: SHARES[name] ?? 100,
    shots: fc
      .tuple(callers, messages.request(requestType))
      .map(([who, bytes]) => new Shot(who, bytes)),
    decode: (bytes) => method.responseDeserialize(bytes),
  };
}

/** One for every RPC that the protos have. */
export function lanes(known: Known): Lane[] {
  const { rpcs, fields } = readProtos();
  return rpcs.map((rpc) => laneOf(rpc, fields, known));
}
