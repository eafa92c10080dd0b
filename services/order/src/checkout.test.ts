import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CheckoutState } from "@piata/contracts/cart";
import { ReservationState } from "@piata/contracts/catalog";
import { PaymentState } from "@piata/contracts/payment";
import { invalidArgument, unavailable } from "@piata/kit/errors";
import { openLog } from "@piata/kit/log";
import { Checkout, type Orders } from "./checkout.js";
import { aCreatedOrder, type Call, Neighbours } from "./neighbours.fixture.js";
import type { Move, Order } from "./order.js";

const PAYMENT_LIMIT_MS = 900_000;
const NOW_MS = 5_000_000;
const DECLINED = { state: PaymentState.DECLINED, declineReason: "CARD_DECLINED" };
const PENDING = { state: PaymentState.PENDING, declineReason: "" };

/** The row of one order, written as the store does. */
class Row implements Orders {
  order: Order;
  readonly delaysMs: number[] = [];
  readonly #calls: string[];
  /** Told before each write and after it; what it throws, the writer gets. */
  interfere: (when: "before" | "after") => void = () => undefined;

  constructor(order: Order, calls: string[]) {
    this.order = order;
    this.#calls = calls;
  }

  async advance({ from, order }: Move): Promise<Order | undefined> {
    this.interfere("before");
    if (this.order.state !== from) return undefined;
    this.#calls.push(order.open ? order.state : `${order.state}, over`);
    const approvedAt = order.state === "APPROVED" ? new Date(NOW_MS) : this.order.approvedAt;
    this.order = { ...order, approvedAt, cancelRequested: this.order.cancelRequested };
    this.interfere("after");
    return this.order;
  }

  async putOff(order: Order, delayMs: number): Promise<void> {
    this.interfere("before");
    this.delaysMs.push(delayMs);
    this.order = { ...this.order, tries: order.tries + 1 };
  }

  async setAside(_: Order, reason: string): Promise<void> {
    this.order = { ...this.order, setAsideReason: reason, open: false };
  }
}

interface World {
  neighbours: Neighbours;
  row: Row;
  run(): Promise<void>;
}

function world(order: Partial<Order> = {}, nowMs = NOW_MS): World {
  const neighbours = new Neighbours();
  const row = new Row({ ...aCreatedOrder(1), ...order }, neighbours.calls);
  const lines = [{ productId: 1, quantity: 2 }];
  if (row.order.state !== "INTENT") {
    neighbours.checkouts.set(1, { state: CheckoutState.TAKEN, lines });
  }
  const checkout = new Checkout({
    orders: row,
    participants: neighbours,
    log: openLog("order-test", "silent"),
    paymentLimitMs: PAYMENT_LIMIT_MS,
    now: () => nowMs,
    random: () => 1,
  });
  return { neighbours, row, run: () => checkout.run(row.order) };
}

const held = (units: number) => ({
  state: ReservationState.HELD,
  lines: [{ productId: 1, quantity: units, unitPriceMinor: 100 }],
  refusalReason: "",
  shortages: [],
  total: { amountMinor: units * 100, currencyCode: "EUR" },
});

/** A world whose order is APPROVED, and held since then. */
function approved(nowMs = NOW_MS): World {
  const made = world(
    { state: "APPROVED", totalMinor: 200, currencyCode: "EUR", approvedAt: new Date(NOW_MS) },
    nowMs,
  );
  made.neighbours.reservations.set(1, held(2));
  made.neighbours.available = 8;
  return made;
}

const LATE_MS = NOW_MS + PAYMENT_LIMIT_MS + 1;

/** Every way through the saga: how the world is before it, and what happened in it, in order. */
const STORIES: Record<string, { make(): World; calls: string[] }> = {
  "is paid": {
    make: () => world(),
    calls: ["reserve", "APPROVED", "charge", "PAID", "sell", "forget", "PAID, over"],
  },
  "is declined": {
    make: () => {
      const made = world();
      made.neighbours.verdict = DECLINED;
      return made;
    },
    calls: ["reserve", "APPROVED", "charge", "release", "restore", "PAYMENT_FAILED, over"],
  },
  "is short of stock": {
    make: () => {
      const made = world();
      made.neighbours.available = 1;
      return made;
    },
    calls: ["reserve", "restore", "ITEMS_REJECTED, over"],
  },
  "is voided after the payment limit": {
    make: () => approved(LATE_MS),
    calls: ["void", "release", "restore", "PAYMENT_FAILED, over"],
  },
  "turns out to be charged when it is voided": {
    make: () => {
      const made = approved(LATE_MS);
      const charged = { state: PaymentState.CHARGED, declineReason: "" };
      made.neighbours.payments.set(1, charged);
      return made;
    },
    calls: ["void", "PAID", "sell", "forget", "PAID, over"],
  },
  "is an intent whose cart was taken": {
    make: () => {
      const made = world({ state: "INTENT", lines: [] });
      const lines = [{ productId: 1, quantity: 2 }];
      made.neighbours.checkouts.set(1, { state: CheckoutState.TAKEN, lines });
      return made;
    },
    calls: ["taken", "CREATED", "reserve", "APPROVED", "charge", "PAID"].concat(
      "sell",
      "forget",
      "PAID, over",
    ),
  },
  "is an intent whose cart was not taken": {
    make: () => {
      const made = world({ state: "INTENT", lines: [] });
      made.neighbours.cart = [{ productId: 9, quantity: 1 }];
      return made;
    },
    calls: ["taken", "ABANDONED", "restore", "ABANDONED, over"],
  },
};

const endOf = ({ neighbours, row }: World) => ({
  ...neighbours.atRest(),
  order: { ...row.order, tries: 0 },
});

const away = unavailable("SERVICE_UNREACHABLE", "It is not reachable now.");

describe("an order", () => {
  for (const [name, { make, calls }] of Object.entries(STORIES)) {
    it(`that ${name}: each verdict is durable before it shows`, async () => {
      const made = make();
      await made.run();
      assert.deepEqual(made.neighbours.calls, calls);
      assert.equal(made.row.order.open, false);
      assert.deepEqual(made.row.delaysMs, []);
    });

    it(`that ${name} ends the same after a crash at any line`, async () => {
      const expected = make();
      await expected.run();
      let crashes = 0;
      for (let line = 0; ; line += 1) {
        const made = make();
        if (!(await crashesAt(made, line))) break;
        crashes += 1;
        await made.run();
        assert.deepEqual(endOf(made), endOf(expected), `crashed at line ${line}`);
      }
      // Before and after each call and each write.
      assert.equal(crashes, 2 * calls.length);
    });
  }

  it("shows why it failed", async () => {
    for (const [name, reason] of [
      ["is declined", "CARD_DECLINED"],
      ["is short of stock", "OUT_OF_STOCK"],
      ["is voided after the payment limit", "PAYMENT_TIMEOUT"],
    ] as const) {
      const made = STORIES[name]?.make() as World;
      await made.run();
      assert.equal(made.row.order.reason, reason);
    }
  });

  it("keeps the prices and the total that its stock was held at", async () => {
    const { row, run } = world();
    await run();
    const { lines, totalMinor, currencyCode } = row.order;
    assert.deepEqual(lines, [{ productId: 1, quantity: 2, unitPriceMinor: 100 }]);
    assert.deepEqual([totalMinor, currencyCode], [200, "EUR"]);
  });
});

/** Runs the saga in a process that dies at a line; false when it ended before that. */
async function crashesAt({ neighbours, row, run }: World, line: number): Promise<boolean> {
  let passed = 0;
  let dead = false;
  const die = () => {
    dead ||= passed === line;
    passed += 1;
    if (dead) throw new Error("killed");
  };
  neighbours.interfere = die;
  row.interfere = die;
  await run().catch(() => undefined);
  neighbours.interfere = () => undefined;
  row.interfere = () => undefined;
  return dead;
}

describe("an order that cannot go on", () => {
  it("is put off while the payment is not known, and the charge is asked for again", async () => {
    const { neighbours, row, run } = approved();
    neighbours.verdict = PENDING;
    await run();
    await run();
    assert.deepEqual([row.order.state, row.order.open], ["APPROVED", true]);
    assert.deepEqual(neighbours.calls, ["charge", "charge"]);
    assert.equal(row.delaysMs.length, 2);
    assert.deepEqual(neighbours.checkouts.get(1)?.state, CheckoutState.TAKEN);
  });

  it("is put off for longer each time, up to 4 s", async () => {
    const { neighbours, row, run } = approved();
    neighbours.verdict = PENDING;
    for (let times = 0; times < 10; times += 1) await run();
    const [doubling, longest] = [[100, 200, 400, 800, 1_600, 3_200], 4_000];
    assert.deepEqual(row.delaysMs, [...doubling, longest, longest, longest, longest]);
  });

  it("waits after the payment limit, too, until the void is known", async () => {
    const { neighbours, row, run } = approved(LATE_MS);
    neighbours.payments.set(1, PENDING);
    await run();
    assert.deepEqual([row.order.state, row.order.open], ["APPROVED", true]);
    assert.equal(neighbours.reservations.get(1)?.state, ReservationState.HELD);
    neighbours.payments.delete(1);
    await run();
    assert.deepEqual(neighbours.calls.slice(0, 2), ["void", "void"]);
    assert.equal(row.order.state, "PAYMENT_FAILED");
  });

  for (const [call, story] of [
    ["taken", "is an intent whose cart was taken"],
    ["restore", "is an intent whose cart was not taken"],
    ["reserve", "is paid"],
    ["restore", "is short of stock"],
    ["charge", "is paid"],
    ["void", "is voided after the payment limit"],
    ["release", "is declined"],
    ["restore", "is declined"],
    ["sell", "is paid"],
    ["forget", "is paid"],
  ] as [Call, string][]) {
    for (const error of [away, new TypeError("a bug")]) {
      it(`is put off when ${call} fails with "${error.message}" (one that ${story})`, async () => {
        const made = STORIES[story]?.make() as World;
        const expected = STORIES[story]?.make() as World;
        await expected.run();
        made.neighbours.interfere = (asked, when) => {
          if (asked === call && when === "before") throw error;
        };
        await made.run();
        assert.equal(made.row.order.open, true);
        assert.deepEqual(made.row.delaysMs, [100]);
        made.neighbours.interfere = () => undefined;
        await made.run();
        assert.deepEqual(endOf(made), endOf(expected));
      });
    }
  }

  it("is rejected, not tried for ever, when the catalog refuses its lines", async () => {
    const { neighbours, row, run } = world();
    neighbours.interfere = (call, when) => {
      if (call !== "reserve" || when !== "before") return;
      throw invalidArgument("LINES_INVALID", "An order has 1 to 100 lines.");
    };
    await run();
    assert.deepEqual(neighbours.calls, ["release", "restore", "ITEMS_REJECTED, over"]);
    assert.equal(row.order.reason, "LINES_INVALID");
    assert.deepEqual(neighbours.cart, [{ productId: 1, quantity: 2 }]);
  });

  it("tells its worker when not even that can be written", async () => {
    const { neighbours, row, run } = approved();
    neighbours.verdict = PENDING;
    row.interfere = () => {
      throw away;
    };
    await assert.rejects(run(), away);
  });
});

describe("an order that its customer wants undone", () => {
  it("is voided instead of charged, and ends as CANCELLED with stock and cart back", async () => {
    const { neighbours, row, run } = world({ cancelRequested: true });
    await run();
    assert.deepEqual(neighbours.calls, [
      "reserve",
      "APPROVED",
      "void",
      "release",
      "restore",
      "PAYMENT_FAILED, over",
    ]);
    assert.equal(row.order.reason, "CANCELLED");
  });

  it("is noticed by the worker that has it in hand, with its next move", async () => {
    const { neighbours, row, run } = world();
    neighbours.interfere = (call) => {
      if (call === "reserve") row.order = { ...row.order, cancelRequested: true };
    };
    await run();
    assert.equal(row.order.reason, "CANCELLED");
    assert.equal(neighbours.calls.includes("charge"), false);
  });

  it("is left to the worker that voided it by one that was charging meanwhile", async () => {
    const { neighbours, row, run } = approved();
    neighbours.interfere = (call, when) => {
      if (call === "charge" && when === "before") {
        neighbours.payments.set(1, { state: PaymentState.VOID, declineReason: "" });
      }
    };
    await run();
    assert.deepEqual([row.order.state, row.order.open], ["APPROVED", true]);
    row.order = { ...row.order, cancelRequested: true };
    await run();
    assert.deepEqual([row.order.state, row.order.reason], ["PAYMENT_FAILED", "CANCELLED"]);
  });

  it("is paid all the same when the charge was faster", async () => {
    const { neighbours, row, run } = approved();
    await neighbours.charge(row.order);
    row.order = { ...row.order, cancelRequested: true };
    await run();
    assert.equal(row.order.state, "PAID");
  });
});

describe("a step that fails for a reason that waiting does not mend", () => {
  const broken = () => {
    throw new Error("a bug");
  };

  it("is tried again a few times, and then set aside where people see it", async () => {
    const { neighbours, row, run } = world();
    neighbours.interfere = broken;
    for (let tries = 0; row.order.open && tries < 20; tries += 1) await run();
    assert.deepEqual(
      [row.order.state, row.order.setAsideReason, row.delaysMs.length],
      ["CREATED", "INTERNAL", 7],
    );
  });

  it("is never set aside while somebody is only away", async () => {
    const { neighbours, row, run } = world();
    neighbours.interfere = () => {
      throw away;
    };
    for (let tries = 0; tries < 50; tries += 1) await run();
    assert.deepEqual([row.order.open, row.order.setAsideReason], [true, ""]);
  });
});

describe("a worker that is late", () => {
  const stopsAfter = async (made: World, stale: Order, calls: string[]) => {
    const before = endOf(made);
    made.neighbours.calls.length = 0;
    const { row } = made;
    const checkout = new Checkout({
      orders: row,
      participants: made.neighbours,
      log: openLog("order-test", "silent"),
      paymentLimitMs: PAYMENT_LIMIT_MS,
      now: () => NOW_MS,
    });
    await checkout.run(stale);
    assert.deepEqual(made.neighbours.calls, calls);
    assert.deepEqual(endOf(made), before);
  };

  it("stops when its move was lost", async () => {
    const made = world();
    const stale = made.row.order;
    made.row.order = { ...stale, state: "APPROVED" };
    made.neighbours.reservations.set(1, held(2));
    await stopsAfter(made, stale, ["reserve"]);
  });

  it("changes nothing about an order that is paid", async () => {
    for (const state of ["CREATED", "APPROVED", "PAID"] as const) {
      const made = world();
      const stale: Order = { ...made.row.order, state };
      await made.run();
      const calls = { CREATED: ["reserve"], APPROVED: ["charge"], PAID: ["sell", "forget"] };
      const writes = state === "PAID" ? ["PAID, over"] : [];
      made.row.order = { ...made.row.order, approvedAt: stale.approvedAt };
      const late = { ...made.row.order, ...stale, ...(state === "PAID" && made.row.order) };
      await stopsAfter(made, { ...late, state, open: true }, [...calls[state], ...writes]);
    }
  });

  it("does not put the cart back when the order is sold but its checkout not yet forgotten", async () => {
    const made = world();
    const stale = made.row.order;
    made.neighbours.interfere = (call) => {
      if (call === "forget") throw unavailable("SERVICE_UNREACHABLE", "The cart is away.");
    };
    await made.run();
    made.neighbours.interfere = () => undefined;
    assert.equal(made.neighbours.reservations.get(1)?.state, ReservationState.SOLD);
    assert.equal(made.neighbours.checkouts.get(1)?.state, CheckoutState.TAKEN);
    await stopsAfter(made, stale, ["reserve"]);
    assert.deepEqual(made.neighbours.cart, []);
  });

  it("changes nothing about an order that failed", async () => {
    for (const state of ["CREATED", "APPROVED"] as const) {
      const made = world();
      made.neighbours.verdict = DECLINED;
      const stale: Order = { ...made.row.order, state };
      await made.run();
      const calls = { CREATED: ["reserve", "restore"], APPROVED: ["charge", "release", "restore"] };
      await stopsAfter(made, stale, calls[state]);
    }
  });

  it("does not put a cart back that is taken while it resolves the intent", async () => {
    const made = world({ state: "INTENT", lines: [] });
    const { neighbours, row } = made;
    neighbours.cart = [{ productId: 1, quantity: 2 }];
    const stale = row.order;
    neighbours.interfere = async (call, when) => {
      if (call !== "taken" || when !== "after") return;
      neighbours.interfere = () => undefined;
      // Whoever placed the order wakes up, and is faster.
      const { lines } = await neighbours.take(stale);
      row.order = { ...stale, state: "CREATED", lines };
    };
    await made.run();
    assert.deepEqual(neighbours.calls, ["taken", "take"]);
    assert.deepEqual(neighbours.cart, []);
    assert.equal(neighbours.checkouts.get(1)?.state, CheckoutState.TAKEN);
  });
});
