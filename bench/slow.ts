// A change for the worse, for the test of the guard: loaded into the programs by NODE_OPTIONS, it makes each
// request to the gateway cost BENCH_SLOW_US more CPU.
import { Server } from "node:http";

const slowMs = Number(process.env.BENCH_SLOW_US) / 1_000;
const { emit } = Server.prototype;

Server.prototype.emit = function (this: Server, ...event: Parameters<typeof emit>): boolean {
  if (event[0] === "request") {
    const endMs = performance.now() + slowMs;
    while (performance.now() < endMs);
  }
  return emit.apply(this, event);
};
