/**
 * Errors that cross gRPC and come out as themselves.
 *
 * A `Failure` is an answer: a code from a closed list says what the caller should do, a reason from
 * an open, documented list (docs/errors.md) says what happened, the message says it in words. It
 * travels as google.rpc.Status with one google.rpc.ErrorInfo (AIP-193), as the error of a whole
 * call or as the failure of one item of a batch. Anything else that is thrown is a bug: INTERNAL
 * outside, a log line with its stack inside.
 */

import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { ErrorInfo } from "@piata/contracts/rpc/error_details";
import { Status } from "@piata/contracts/rpc/status";

/** What the caller should do, as the number that gRPC gives it. */
const CODES = {
  INVALID_ARGUMENT: status.INVALID_ARGUMENT,
  UNAUTHENTICATED: status.UNAUTHENTICATED,
  PERMISSION_DENIED: status.PERMISSION_DENIED,
  NOT_FOUND: status.NOT_FOUND,
  ALREADY_EXISTS: status.ALREADY_EXISTS,
  FAILED_PRECONDITION: status.FAILED_PRECONDITION,
  ABORTED: status.ABORTED,
  RESOURCE_EXHAUSTED: status.RESOURCE_EXHAUSTED,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  UNAVAILABLE: status.UNAVAILABLE,
  INTERNAL: status.INTERNAL,
} as const;

/** The closed list of codes; docs/errors.md says what to do about each. */
export type Code = keyof typeof CODES;

const CODE_OF_NUMBER = new Map<number, Code>(
  Object.entries(CODES).map(([code, number]) => [number, code as Code]),
);

const ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo";
const DETAILS_KEY = "grpc-status-details-bin";
const DOMAIN = "piata";

/** An error that is an answer: it crosses gRPC and comes out as itself. */
export class Failure extends Error {
  readonly code: Code;
  /** UPPER_SNAKE_CASE, from docs/errors.md. */
  readonly reason: string;
  /** Every dynamic value of the message, for programs. */
  readonly metadata: Readonly<Record<string, string>>;

  constructor(
    code: Code,
    reason: string,
    message: string,
    metadata: Record<string, string> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = "Failure";
    this.code = code;
    this.reason = reason;
    this.metadata = metadata;
  }
}

/** True for a Failure, and when a reason is given only for one of that reason. */
export function isFailure(error: unknown, reason?: string): error is Failure {
  return error instanceof Failure && (reason === undefined || error.reason === reason);
}

type Make = (reason: string, message: string, metadata?: Record<string, string>) => Failure;
const maker =
  (code: Code): Make =>
  (reason, message, metadata) =>
    new Failure(code, reason, message, metadata);

export const invalidArgument = maker("INVALID_ARGUMENT");
export const unauthenticated = maker("UNAUTHENTICATED");
export const permissionDenied = maker("PERMISSION_DENIED");
export const notFound = maker("NOT_FOUND");
export const alreadyExists = maker("ALREADY_EXISTS");
export const failedPrecondition = maker("FAILED_PRECONDITION");
export const aborted = maker("ABORTED");
export const resourceExhausted = maker("RESOURCE_EXHAUSTED");
export const deadlineExceeded = maker("DEADLINE_EXCEEDED");
export const unavailable = maker("UNAVAILABLE");

/** What the outside sees of a bug. The cause stays inside, for the log. */
export const internal = (cause?: unknown): Failure =>
  new Failure(
    "INTERNAL",
    "INTERNAL",
    "Something went wrong on our side; it has been logged.",
    {},
    cause === undefined ? undefined : { cause },
  );

/** A Failure on the wire: of a call, or of one item of a batch. */
export function toStatus(failure: Failure): Status {
  const info = {
    reason: failure.reason,
    domain: DOMAIN,
    metadata: failure.metadata,
  };
  return {
    code: CODES[failure.code],
    message: failure.message,
    details: [{ typeUrl: ERROR_INFO, value: Buffer.from(ErrorInfo.encode(info).finish()) }],
  };
}

/** The Failure that was put on the wire. */
export function fromStatus(wire: Status): Failure {
  const code = CODE_OF_NUMBER.get(wire.code) ?? "INTERNAL";
  const detail = wire.details.find(({ typeUrl }) => typeUrl === ERROR_INFO);
  if (!detail) return new Failure(code, code, wire.message);
  const info = ErrorInfo.decode(detail.value);
  return new Failure(code, info.reason, wire.message, info.metadata);
}

/** The error that a gRPC handler ends a call with. */
export function toServiceError(failure: Failure): Partial<ServiceError> {
  const metadata = new Metadata();
  metadata.set(DETAILS_KEY, Buffer.from(Status.encode(toStatus(failure)).finish()));
  return { code: CODES[failure.code], details: failure.message, metadata };
}

/** The Failure that a call ended with; undefined when gRPC itself ended it. */
export function failureIn(metadata: Metadata | null | undefined): Failure | undefined {
  const details = metadata?.get(DETAILS_KEY)[0];
  if (!(details instanceof Buffer)) return undefined;
  try {
    return fromStatus(Status.decode(details));
  } catch (error) {
    return internal(error);
  }
}

/** A service has not answered while its caller waited. */
export const late = (service: string): Failure =>
  deadlineExceeded("DEADLINE", `The ${service} service did not answer in time.`, { service });

/** No instance of a service answers. */
export const unreachable = (service: string): Failure =>
  unavailable("SERVICE_UNREACHABLE", `The ${service} service is not reachable now.`, { service });

/** What a gRPC client makes of a call's error; `service` is the one that was called. */
export function fromServiceError(error: ServiceError, service: string): Failure {
  const failure = failureIn(error.metadata);
  if (failure) return failure;
  switch (error.code) {
    case status.DEADLINE_EXCEEDED:
      return late(service);
    case status.UNAVAILABLE:
    case status.CANCELLED:
      return unreachable(service);
    case status.RESOURCE_EXHAUSTED:
      return resourceExhausted("MESSAGE_TOO_LARGE", error.details, { service });
    default:
      return internal(error);
  }
}
