/** What happened to whom lately: a line in the log each, and the last few for the page. */
import type { Instance } from "@piata/contracts/discovery";
import type { Log } from "@piata/kit/log";

const EVENTS_MAX = 20;

export interface InstanceEvent {
  at: Date;
  service: string;
  address: string;
  what: string;
}

/** The latest events, the newest first. */
export class Journal {
  readonly #log: Log;
  #events: readonly InstanceEvent[] = [];

  constructor(log: Log) {
    this.#log = log;
  }

  get events(): readonly InstanceEvent[] {
    return this.#events;
  }

  note({ id, service, address }: Instance, what: string): void {
    this.#log.info({ instance: id, service, address, what }, "instance");
    const event = { at: new Date(), service, address, what };
    this.#events = [event, ...this.#events.slice(0, EVENTS_MAX - 1)];
  }
}
