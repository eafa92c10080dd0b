/** What carries the calls of a channel: gRPC over sockets, or within the process. */
import type { CallOptions, Client, Metadata, ServiceError } from "@grpc/grpc-js";

/** The largest message that is taken, in bytes. */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

/** A call that is under way. */
export interface UnaryCall {
  cancel(): void;
  /** Who answers, as far as that is known. */
  getPeer(): string;
}

/** The messages of a stream, an `error` that says how it ended if not well. */
export interface MessageStream {
  cancel(): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  iterator(options: { destroyOnReturn: boolean }): AsyncIterable<unknown>;
}

/** How one method's messages become bytes. */
export type Encode = (message: unknown) => Buffer;
export type Decode = (bytes: Buffer) => unknown;

/** The part of grpc-js' Client that channels use. */
export interface Transport extends Pick<Client, "close"> {
  makeUnaryRequest(
    path: string,
    encode: Encode,
    decode: Decode,
    request: unknown,
    metadata: Metadata,
    options: CallOptions,
    answer: (error: ServiceError | null, response?: unknown) => void,
  ): UnaryCall;
  makeServerStreamRequest(
    path: string,
    encode: Encode,
    decode: Decode,
    request: unknown,
    metadata: Metadata,
  ): MessageStream;
}
