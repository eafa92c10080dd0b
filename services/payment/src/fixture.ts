/** What the tests share: a database of their own, and the real program on it. */
import {
  type BatchChargeRequest_Item,
  type BatchChargeResponse_Result,
  type Payment,
  PaymentServiceService,
  PaymentState,
} from "@piata/contracts/payment";
import { Secret } from "@piata/kit/config";
import { fromStatus } from "@piata/kit/errors";
import { migrate } from "@piata/kit/migrate";
import { Database, statement } from "@piata/kit/pg";
import { Channel } from "@piata/kit/rpc-client";
import { createTestDatabase } from "@piata/testkit/database";
import { startService } from "@piata/testkit/service";

const MIGRATIONS = new URL("../migrations/", import.meta.url);
const DEADLINE_MS = 20_000;

export interface Row {
  state: string;
  declineReason: string;
}

const ROW = `state, decline_reason as "declineReason"`;
const PAYMENT = statement("test_payment", `select ${ROW} from payments where order_id = $1`);
const LEDGER = statement("test_ledger", `select ${ROW} from sandbox.ledger where key = $1`);

export type PaymentDatabase = Awaited<ReturnType<typeof openDatabase>>;

export async function openDatabase() {
  const database = await createTestDatabase({
    template: "payment",
    migrations: MIGRATIONS,
    prepare: (url) => migrate(new Secret(url), MIGRATIONS),
  });
  const pools: Database[] = [];
  const connect = () => {
    const pool = new Database(new Secret(database.url), { program: "payment-test" });
    pools.push(pool);
    return pool;
  };
  const db = connect();
  return {
    url: database.url,
    db,
    connect,
    payment: async (orderId: number) => (await db.rows<Row>(PAYMENT, [orderId]))[0],
    /** All that the provider has for an order. */
    ledger: (orderId: number) => db.rows<Row>(LEDGER, [`order-${orderId}`]),
    async drop() {
      for (const pool of pools) await pool.close();
      await database.drop();
    },
  };
}

export type RunningPayment = Awaited<ReturnType<typeof startPayment>>;

export async function startPayment(url: string, env: Record<string, string> = {}) {
  const service = await startService("payment", {
    PAYMENT_DATABASE_URL: url,
    PAYMENT_PROVIDER: "sandbox",
    ...env,
  });
  const channel = new Channel({ service: "payment", target: service.address, caller: "test" });
  const rpc = channel.client(PaymentServiceService);
  const options = () => ({ deadlineMs: Date.now() + DEADLINE_MS });
  return {
    rpc,
    options,
    output: service.output,
    kill: service.kill,
    /** Charges one order. Throws the item's Failure. */
    charge: async (orderId: number, other: Partial<BatchChargeRequest_Item> = {}) =>
      answer((await rpc.batchCharge({ items: [item(orderId, other)] }, options())).results),
    /** Voids one order. Throws the item's Failure. */
    void: async (orderId: number) =>
      answer((await rpc.batchVoid({ items: [{ orderId }] }, options())).results),
    async stop() {
      channel.close();
      return service.stop();
    },
  };
}

export const item = (orderId: number, other: Partial<BatchChargeRequest_Item> = {}) => ({
  orderId,
  amount: { amountMinor: 1_999, currencyCode: "EUR" },
  paymentMethod: "",
  ...other,
});

function answer([result]: BatchChargeResponse_Result[]): Payment {
  if (result?.failure) throw fromStatus(result.failure);
  return result?.payment as Payment;
}

/** Asks again while the answer is PENDING, as the order service does. */
export async function untilKnown(ask: () => Promise<Payment>): Promise<Payment> {
  for (;;) {
    const payment = await ask();
    if (payment.state !== PaymentState.PENDING) return payment;
  }
}

export const PENDING: Payment = { state: PaymentState.PENDING, declineReason: "" };
export const CHARGED: Payment = { state: PaymentState.CHARGED, declineReason: "" };
export const VOID: Payment = { state: PaymentState.VOID, declineReason: "" };
export const declined = (declineReason: string): Payment => ({
  state: PaymentState.DECLINED,
  declineReason,
});
