/**
 * What a client sees of an error: extensions { code, reason, traceId, metadata }, and never a
 * stack.
 */
import { Failure, internal, invalidArgument } from "@piata/kit/errors";
import type { Log } from "@piata/kit/log";
import { GraphQLError } from "graphql";

export interface ErrorAnswer {
  message: string;
  path?: readonly (string | number)[];
  locations?: readonly { line: number; column: number }[];
  extensions: { code: string; reason: string; traceId: string; metadata?: Record<string, string> };
}

/**
 * A call whose failures name fields as the service does, named as the client sent them:
 * `{ quantity: "newQuantity" }`.
 */
export async function naming<Answer>(
  names: Readonly<Record<string, string>>,
  call: Promise<Answer>,
): Promise<Answer> {
  try {
    return await call;
  } catch (error) {
    const field = error instanceof Failure ? error.metadata.field : undefined;
    const name = field === undefined ? undefined : names[field];
    if (!(error instanceof Failure) || field === undefined || name === undefined) throw error;
    const { code, reason, message, metadata } = error;
    throw new Failure(code, reason, message.replace(field, name), { ...metadata, field: name });
  }
}

/** An error as either of the two GraphQL engines reports it: the interpreter and the compiler. */
interface EngineError {
  message: string;
  path?: readonly (string | number)[];
  locations?: readonly { line: number; column: number }[];
  originalError?: unknown;
}

/** Whoever finds it: the HTTP parser, or who reads the body. */
export const bodyTooLarge = (): Failure =>
  invalidArgument("BODY_TOO_LARGE", "The body is larger than the gateway takes.");

interface FailureOptions {
  log: Log;
  traceId: string;
  /** Whether a message about a document may suggest names of the schema. */
  hints?: boolean;
}

/** The Failure behind whatever was thrown; anything unexpected is logged here, once, and masked. */
export function failureOf(
  error: unknown,
  { log, traceId, hints = false }: FailureOptions,
): Failure {
  if (error instanceof Failure) return error;
  const { originalError, message } = error as EngineError;
  if (originalError instanceof Failure) return originalError;
  if (isOfTheRequest(error as EngineError)) {
    return invalidArgument("GRAPHQL_INVALID", brief(hints ? message : withoutHint(message)));
  }
  log.error({ err: originalError ?? error, traceId }, "a resolver threw a bug");
  return internal();
}

/** Characters of a message that quotes what was sent. */
const MESSAGE_MAX = 1_000;
const brief = (message: string): string =>
  message.length > MESSAGE_MAX ? `${message.slice(0, MESSAGE_MAX)}…` : message;

// The engines can be told to hint at nothing when they validate, but not when they read variables.
function withoutHint(message: string): string {
  const at = message.lastIndexOf(" Did you mean ");
  return at !== -1 && message.endsWith("?") ? message.slice(0, at) : message;
}

// An engine's own error that is at no place in the answer is about the document or its variables.
// One about an argument has a place: that a variable is null shows only when its field is reached.
function isOfTheRequest(error: EngineError): boolean {
  const { originalError = error, path, message } = error;
  const isOfTheEngine = error instanceof GraphQLError && originalError instanceof GraphQLError;
  return isOfTheEngine && (!path || message.startsWith('Argument "'));
}

/** A Failure as GraphQL shows it. */
export function errorAnswer(failure: Failure, traceId: string, error?: unknown): ErrorAnswer {
  const { code, reason, message, metadata } = failure;
  const { path, locations } = (error ?? {}) as Partial<EngineError>;
  return {
    message,
    ...(locations && { locations }),
    ...(path && { path }),
    extensions: {
      code,
      reason,
      traceId,
      ...(Object.keys(metadata).length > 0 && { metadata: { ...metadata } }),
    },
  };
}
