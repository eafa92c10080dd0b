/** What the tests share: a database of their own, and the real program on it. */
import {
  type BatchChargeRequest_Item,
  type BatchChargeResponse_Result,
  type BatchRefundResponse_Result,
  type Payment,
  PaymentServiceService,
  PaymentState,
  type Refund,
  RefundState,
} from "@piata/contracts/payment";
import { Secret } from "@piata/kit/config";
import { ownContext } from "@piata/kit/context";
import { fromStatus } from "@piata/kit/errors";
import { Metrics } from "@piata/kit/metrics";
import { migrate } from "@piata/kit/migrate";
import { Database, statement } from "@piata/kit/pg";
import { openClient } from "@piata/kit/trial";
import { openServiceDatabase } from "@piata/testkit/database";
import { startService } from "@piata/testkit/service";
import { charging, move, type Terms } from "./payment.js";
import type { Provider } from "./provider.js";
import { PaymentStore } from "./store.js";

const MIGRATIONS = new URL("../migrations/", import.meta.url);
const DEADLINE_MS = 20_000;

export interface Row {
  state: string;
  declineReason: string;
}

const ROW = `state, decline_reason as "declineReason"`;
const PAYMENT = statement("test_payment", `select ${ROW} from payments where order_id = $1`);
const LEDGER = statement("test_ledger", `select ${ROW} from sandbox.ledger where key = $1`);

export interface RefundRow {
  refundKey: string;
  amountMinor: number;
  state: string;
  refusalReason: string;
}

const REFUND_ROW = `refund_key as "refundKey", amount_minor as "amountMinor", state,
  refusal_reason as "refusalReason"`;
const REFUNDS = statement(
  "test_refunds",
  `select ${REFUND_ROW} from refunds where order_id = $1 order by refund_key`,
);
const LEDGER_REFUNDS = statement(
  "test_ledger_refunds",
  `select ${REFUND_ROW} from sandbox.refunds where key = $1 order by refund_key`,
);

/** The orders whose refunds do not add up, in our book or in the sandbox's. */
const UNBALANCED = statement(
  "test_unbalanced",
  `select order_id::text as key
     from payments p
    where refunded_minor <> (select coalesce(sum(amount_minor), 0)
                               from refunds r
                              where r.order_id = p.order_id and r.state <> 'REFUSED')
    union all
   select key
     from sandbox.ledger l
    where refunded_minor <> (select coalesce(sum(amount_minor), 0)
                               from sandbox.refunds r
                              where r.key = l.key and r.state = 'REFUNDED')`,
);

/** What the stores of a test count in. */
export const metrics = new Metrics("payment-test");

export type PaymentDatabase = Awaited<ReturnType<typeof openDatabase>>;

export async function openDatabase() {
  const database = await openServiceDatabase({
    template: "payment",
    migrations: MIGRATIONS,
    prepare: (url) => migrate(new Secret(url), MIGRATIONS),
    open: (url) => new Database(new Secret(url), { program: "payment-test" }),
  });
  const { db } = database;
  let statements = 0;
  return {
    ...database,
    payment: async (orderId: number) => (await db.rows<Row>(PAYMENT, [orderId]))[0],
    /** All that the provider has for an order. */
    ledger: (orderId: number) => db.rows<Row>(LEDGER, [`order-${orderId}`]),
    refunds: (orderId: number) => db.rows<RefundRow>(REFUNDS, [orderId]),
    /** All refunds that the provider has for an order. */
    ledgerRefunds: (orderId: number) => db.rows<RefundRow>(LEDGER_REFUNDS, [`order-${orderId}`]),
    unbalanced: () => db.rows<{ key: string }>(UNBALANCED),
    /** Runs any SQL, to make a fault. */
    execute: async (sql: string, values: unknown[] = []) => {
      statements += 1;
      await db.rows(statement(`test_${statements}`, sql), values);
    },
    /** Makes an order that is charged, in our book only. */
    async charged(orderId: number, other: Partial<Terms> = {}) {
      const store = new PaymentStore(db, metrics);
      const terms = {
        orderId,
        amountMinor: 1_000,
        currencyCode: "EUR",
        paymentMethod: "",
        ...other,
      };
      const { payment } = await store.place(charging(terms));
      return store.settle(move(payment, "CHARGED"));
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
  const { rpc, close } = openClient(
    { service: "payment", target: service.address },
    PaymentServiceService,
    { batchCharge: "order", batchVoid: "order", batchRefund: "order", reconcile: "operator" },
  );
  const options = () => ownContext(DEADLINE_MS);
  return {
    rpc,
    options,
    output: service.output,
    httpAddress: service.httpAddress,
    kill: service.kill,
    /** Charges one order. Throws the item's Failure. */
    charge: async (orderId: number, other: Partial<BatchChargeRequest_Item> = {}) =>
      answer((await rpc.batchCharge({ items: [item(orderId, other)] }, options())).results),
    /** Voids one order. Throws the item's Failure. */
    void: async (orderId: number) =>
      answer((await rpc.batchVoid({ items: [{ orderId }] }, options())).results),
    /** Asks for a refund, in EUR. Throws the item's Failure. */
    refund: async (orderId: number, refundKey: string, amountMinor: number) => {
      const items = [{ orderId, refundKey, amount: { amountMinor, currencyCode: "EUR" } }];
      return refundAnswer((await rpc.batchRefund({ items }, options())).results);
    },
    reconcile: () => rpc.reconcile({}, options()),
    async stop() {
      close();
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

function refundAnswer([result]: BatchRefundResponse_Result[]): Refund {
  if (result?.failure) throw fromStatus(result.failure);
  return result?.refund as Refund;
}

/** Asks again while the refund is PENDING, as the order service does. */
export async function untilRefundKnown(ask: () => Promise<Refund>): Promise<Refund> {
  for (;;) {
    const refund = await ask();
    if (refund.state !== RefundState.PENDING) return refund;
  }
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
export const REFUND_PENDING: Refund = { state: RefundState.PENDING, refusalReason: "" };
export const REFUNDED: Refund = { state: RefundState.REFUNDED, refusalReason: "" };
export const refused = (refusalReason: string): Refund => ({
  state: RefundState.REFUSED,
  refusalReason,
});

/** A provider that answers what the test says, call by call, and remembers what it was asked. */
export function scripted(script: Partial<Provider>) {
  const calls: string[] = [];
  const say =
    <Arguments extends unknown[], Answer>(
      name: keyof Provider,
      answer?: (...given: Arguments) => Promise<Answer>,
    ) =>
    (...given: Arguments): Promise<Answer> => {
      calls.push(name);
      return answer ? answer(...given) : Promise.reject(new Error(`${name} was not expected`));
    };
  const provider: Provider = {
    charge: say("charge", script.charge),
    find: say("find", script.find),
    cancel: say("cancel", script.cancel),
    refund: say("refund", script.refund),
    findRefund: say("findRefund", script.findRefund),
    list: say("list", script.list),
    findEntry: say("findEntry", script.findEntry),
  };
  return { provider, calls };
}
