/** One span that is recorded. */
import type { Metadata } from "@grpc/grpc-js";
import type { Attributes, Span } from "@opentelemetry/api";

/** What may cause a span: another one. `spanId` is "" when none is recorded. */
export interface Cause {
  traceId: string;
  spanId: string;
}

/** What a span is about, and the attribute that its outcome is in. */
const OUTCOME = {
  request: "piata.code",
  call: "rpc.response.status_code",
  service: "rpc.response.status_code",
  statement: "db.response.status_code",
  work: "piata.code",
} as const;

export const KIND = {
  request: "SERVER",
  call: "CLIENT",
  service: "SERVER",
  statement: "CLIENT",
  work: "INTERNAL",
} as const;

export type About = keyof typeof KIND;

/** SpanStatusCode.ERROR, of a package that may not be loaded. */
const ERROR = 2;
const FAULTS: ReadonlySet<string> = new Set([
  "UNKNOWN",
  "DEADLINE_EXCEEDED",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
]);

/** A span that is recorded, until its end. */
export class Recording implements Cause {
  readonly traceId: string;
  readonly spanId: string;
  readonly #span: Span;
  readonly #about: About;

  constructor(span: Span, about: About) {
    this.#span = span;
    this.#about = about;
    ({ traceId: this.traceId, spanId: this.spanId } = span.spanContext());
  }

  /** A copy of the metadata that names this span as the cause of the call. */
  inject(metadata: Metadata): Metadata {
    const copy = metadata.clone();
    copy.set("traceparent", `00-${this.traceId}-${this.spanId}-01`);
    return copy;
  }

  /** `code` is "OK", or what went wrong: gRPC's name of it, a statement's SQLSTATE. */
  end(code: string, attributes: Attributes = {}, name?: string): void {
    const span = this.#span;
    if (name !== undefined) span.updateName(name);
    span.setAttributes(attributes);
    if (code !== "OK" || this.#about !== "statement") {
      span.setAttribute(OUTCOME[this.#about], code);
    }
    // A server that answers that the question was wrong has not failed.
    const isError = KIND[this.#about] === "SERVER" ? FAULTS.has(code) : code !== "OK";
    if (isError) span.setStatus({ code: ERROR, message: code }).setAttribute("error.type", code);
    span.end();
  }
}
