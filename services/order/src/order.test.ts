import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { aCreatedOrder } from "./neighbours.fixture.js";
import { move, type Order, type State, settle } from "./order.js";

const STATES: State[] = [
  "INTENT",
  "ABANDONED",
  "CREATED",
  "APPROVED",
  "PAID",
  "PAYMENT_FAILED",
  "ITEMS_REJECTED",
];

const MOVES = new Map<string, { open: boolean }>([
  ["INTENT CREATED", { open: true }],
  ["INTENT ABANDONED", { open: true }],
  ["CREATED APPROVED", { open: true }],
  ["CREATED ITEMS_REJECTED", { open: false }],
  ["APPROVED PAID", { open: true }],
  ["APPROVED PAYMENT_FAILED", { open: false }],
]);

const order = (state: State): Order => ({ ...aCreatedOrder(1), state, tries: 3 });

describe("an order", () => {
  for (const from of STATES) {
    for (const to of STATES) {
      const allowed = MOVES.get(`${from} ${to}`);
      if (allowed) {
        it(`that is ${from} can become ${to}`, () => {
          const before = order(from);
          const { open } = allowed;
          const change = { reason: "WHY" };
          assert.deepEqual(move(before, to, change), {
            from,
            order: { ...before, state: to, reason: "WHY", tries: 0, open },
            change,
          });
          assert.deepEqual(before, order(from));
        });
      } else {
        it(`that is ${from} cannot become ${to}`, () => {
          assert.throws(() => move(order(from), to), new RegExp(`A ${from} order cannot become`));
        });
      }
    }
  }

  for (const state of ["PAID", "ABANDONED"] as const) {
    it(`that is ${state} is over when it is settled`, () => {
      const before = order(state);
      const after = { ...before, open: false };
      assert.deepEqual(settle(before), { from: state, order: after, change: {} });
    });
  }

  for (const state of STATES.filter((one) => one !== "PAID" && one !== "ABANDONED")) {
    it(`that is ${state} is not settled`, () => {
      assert.throws(() => settle(order(state)), /is not settled/);
    });
  }
});
