/** Asking one instance whether it serves: by grpc.health.v1, or by GET /healthz. */
import { get } from "node:http";
import { Client, type ServiceError, status } from "@grpc/grpc-js";
import { type Instance, Probe } from "@piata/contracts/discovery";
import { splitAddress } from "@piata/kit/address";
import { channelCredentials, type Tls } from "@piata/kit/tls";
import { service as healthService } from "grpc-health-check";
import type { Outcome } from "./health.js";

/** How long a probe waits for its answer. */
export const PROBE_TIMEOUT_MS = 700;

/** Probes one instance; a gRPC connection stays open in between. */
export interface InstanceProbe {
  /** Resolves within PROBE_TIMEOUT_MS, or as soon after it as this process gets to it. */
  ask(): Promise<Outcome>;
  close(): void;
}

/** How an instance wants to be probed; undefined when it does not. */
export function probeOf(instance: Instance, tls?: Tls): InstanceProbe | undefined {
  if (instance.probe === Probe.GRPC) return grpcProbe(instance, tls);
  if (instance.probe === Probe.HTTP) return httpProbe(instance.httpAddress);
  return undefined;
}

/** NO_ANSWER: we do not know. It was late, the way there is cut, or we ourselves are at fault. */
const noAnswer = (why = "no answer"): Outcome => ({ verdict: "NO_ANSWER", why });

// What only a host that is up and has nobody at that port says.
const DEAD: readonly (readonly [sign: RegExp, why: string])[] = [
  [/ECONNREFUSED/, "connection refused"],
  [/ECONNRESET|EPIPE|socket hang up|Connection dropped/, "connection reset"],
];

function fromError(text: string): Outcome {
  const dead = DEAD.find(([sign]) => sign.test(text));
  return dead ? { verdict: "DEAD", why: dead[1] } : noAnswer();
}

function grpcProbe({ address, service }: Instance, tls: Tls | undefined): InstanceProbe {
  const { credential, options } = channelCredentials(service, tls);
  // The scheme is said, or a host called "unix" would be one.
  const client = new Client(`dns:///${address}`, credential, {
    ...options,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_retries": 0,
    "grpc.enable_http_proxy": 0,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 500,
    "grpc.max_receive_message_length": 1_024,
  });
  const { path, requestSerialize, responseDeserialize } = healthService.Check as NonNullable<
    typeof healthService.Check
  >;
  const ask = () =>
    new Promise<Outcome>((resolve) => {
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        { service: "" },
        { deadline: Date.now() + PROBE_TIMEOUT_MS },
        (error, answer) =>
          resolve(error ? fromStatus(error) : fromAnswer(answer as { status?: string })),
      );
    });
  return { ask, close: () => client.close() };
}

function fromAnswer({ status: said }: { status?: string }): Outcome {
  if (said === "SERVING") return { verdict: "SERVING" };
  return { verdict: "NOT_SERVING", why: `says ${said === "NOT_SERVING" ? said : "UNKNOWN"}` };
}

function fromStatus({ code, details }: ServiceError): Outcome {
  if (code === status.UNAVAILABLE) return fromError(details);
  if (code === status.NOT_FOUND || code === status.UNIMPLEMENTED) {
    return { verdict: "NOT_SERVING", why: "has no grpc.health.v1 service" };
  }
  return noAnswer();
}

function httpProbe(httpAddress: string): InstanceProbe {
  const { host, port } = splitAddress(httpAddress);
  const ask = () =>
    new Promise<Outcome>((resolve) => {
      const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
      // A connection that was kept may have been closed by the far side just now.
      const request = get({ host, port, path: "/healthz", agent: false, signal }, (response) => {
        resolve(fromHttpStatus(response.statusCode ?? 0));
        response.destroy();
      });
      request.on("error", (error: NodeJS.ErrnoException) =>
        resolve(fromError(`${error.code} ${error.message}`)),
      );
    });
  return { ask, close: () => undefined };
}

function fromHttpStatus(code: number): Outcome {
  if (code === 200) return { verdict: "SERVING" };
  return { verdict: "NOT_SERVING", why: code === 503 ? "says NOT_SERVING" : `answers ${code}` };
}
