/** Keeping oneself listed: heartbeats to every discovery instance, and a last word to each. */
import { setTimeout as pause } from "node:timers/promises";
import { DiscoveryServiceService, type Instance, type Load } from "@piata/contracts/discovery";
import { ownContext } from "./context.js";
import { isFailure } from "./errors.js";
import type { LocalNetwork } from "./local.js";
import type { Log } from "./log.js";
import { Channel } from "./rpc-client.js";
import type { Tls } from "./tls.js";

const HEARTBEAT_MS = 700;
const WITHDRAW_MS = 500;

export interface RegistrationOptions {
  log?: Log;
  tls?: Tls | undefined;
  /** What `local:///` addresses are found in. */
  network?: LocalNetwork | undefined;
  /** How busy the instance is now; sent with each heartbeat. */
  load?: () => Load;
}

/** Keeps an instance listed with every discovery instance until `withdraw`. */
export class Registration {
  readonly #instance: Instance;
  readonly #options: RegistrationOptions;
  readonly #channels: Channel[];
  readonly #stop = new AbortController();
  readonly #beating: Promise<void>[];
  readonly #first: Promise<unknown>;

  constructor(addresses: string[], instance: Instance, options: RegistrationOptions = {}) {
    this.#instance = instance;
    this.#options = options;
    const { tls, network } = options;
    const to = { service: "discovery", caller: instance.service, tls, network };
    this.#channels = addresses.map((target) => new Channel({ ...to, target }));
    const firsts = this.#channels.map(() => Promise.withResolvers<void>());
    this.#first = Promise.all(firsts.map(({ promise }) => promise));
    this.#beating = this.#channels.map((channel, at) => this.#beat(channel, firsts[at]?.resolve));
  }

  /**
   * Resolves when every discovery instance has listed it or cannot be asked now, and after
   * `timeoutMs` whatever they say.
   */
  async tried(timeoutMs: number): Promise<void> {
    const waited = new AbortController();
    const { signal } = waited;
    const late = pause(timeoutMs, undefined, { signal }).catch(() => undefined);
    await Promise.race([this.#first, late]);
    waited.abort();
  }

  async withdraw(): Promise<void> {
    this.#stop.abort();
    const instanceId = this.#instance.id;
    await Promise.allSettled(
      this.#channels.map(async (channel) => {
        const rpc = channel.client(DiscoveryServiceService);
        await rpc.withdraw({ instanceId }, ownContext(WITHDRAW_MS));
      }),
    );
    // A heartbeat that is still on its way is not believed after the withdrawal.
    await Promise.all(this.#beating);
    for (const channel of this.#channels) channel.close();
  }

  async #beat(channel: Channel, tried?: () => void): Promise<void> {
    const { signal } = this.#stop;
    const rpc = channel.client(DiscoveryServiceService);
    let refused = "";
    while (!signal.aborted) {
      const request = { instance: this.#instance, load: this.#options.load?.() };
      // A discovery that is away misses a heartbeat; the next one lists the instance again.
      const error: unknown = await rpc.heartbeat(request, ownContext(HEARTBEAT_MS)).then(
        () => undefined,
        (error) => error,
      );
      tried?.();
      const reason = refusalOf(error);
      if (reason !== "" && reason !== refused) {
        this.#options.log?.error({ reason, err: error }, "a discovery instance refuses to list us");
      }
      refused = reason;
      const pauseMs = error === undefined ? HEARTBEAT_MS : HEARTBEAT_MS / 4;
      await pause(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

const refusalOf = (error: unknown): string =>
  ["INSTANCE_INVALID", "TOO_MANY_INSTANCES"].find((reason) => isFailure(error, reason)) ?? "";
