// gRPC as HTTP/2 with one's own hands: what no gRPC library would send.
import { type ClientHttp2Session, connect, constants } from "node:http2";
import { gzipSync } from "node:zlib";
import { status } from "@grpc/grpc-js";

/** The message of a frame; `length` is what the frame says of it, true or not. */
export function frame(message: Buffer, { flags = 0, length = message.length } = {}): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

export interface Post {
  path: string;
  caller: string;
  headers?: Record<string, string>;
  body: Buffer[];
}

const PATIENCE_MS = 15_000;

export interface Heard {
  /** gRPC's name of the status, or "HTTP 415", or how it broke off. */
  verdict: string;
  /** The words of the status. */
  message: string;
}

/** What the far side says. */
export function post(address: string, { path, caller, headers = {}, body }: Post): Promise<Heard> {
  const session: ClientHttp2Session = connect(`http://${address}`);
  return new Promise<Heard>((resolve) => {
    const heard = { verdict: "no status", message: "" };
    session.on("error", () => resolve({ ...heard, verdict: "connection closed" }));
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: "POST",
      [constants.HTTP2_HEADER_PATH]: path,
      "content-type": "application/grpc",
      te: "trailers",
      "x-caller": caller,
      ...headers,
    });
    const hear = (received: Record<string, unknown>) => {
      const http = received[constants.HTTP2_HEADER_STATUS];
      if (http !== undefined && http !== 200) heard.verdict = `HTTP ${http}`;
      const code = received["grpc-status"];
      if (code !== undefined) heard.verdict = status[Number(code)] ?? `status ${code}`;
      heard.message ||= decodeURIComponent(String(received["grpc-message"] ?? ""));
    };
    stream.on("response", hear);
    stream.on("trailers", hear);
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (heard.verdict === "no status") heard.verdict = String(error.code);
    });
    stream.on("close", () => resolve(heard));
    stream.setTimeout(PATIENCE_MS, () => {
      heard.verdict = "no answer";
      stream.close(constants.NGHTTP2_CANCEL);
    });
    stream.resume();
    for (const chunk of body) stream.write(chunk);
    stream.end();
  }).finally(() => session.destroy());
}

const EMPTY = frame(Buffer.alloc(0));
const MIB = 1_024 * 1_024;
/** What each server takes: `grpc.max_receive_message_length`. */
export const MESSAGE_BYTES_MAX = 16 * MIB;

interface Case extends Omit<Post, "path" | "caller"> {
  /** Instead of the path of an RPC that there is. */
  path?: string;
  verdict: string;
}

/**
 * What is wrong before there is a message, and gRPC's own answer to it: no reason comes with it,
 * because none of our code has seen it.
 */
export const TRANSPORT_FAULTS: Readonly<Record<string, Case>> = {
  "an unknown service": { path: "/x.Y/Z", body: [EMPTY], verdict: "UNIMPLEMENTED" },
  "a name of every object": {
    path: "/__proto__/constructor",
    body: [EMPTY],
    verdict: "UNIMPLEMENTED",
  },
  "a body of JSON": {
    headers: { "content-type": "application/json" },
    body: [Buffer.from("{}")],
    verdict: "HTTP 415",
  },
  "no content type": { headers: { "content-type": "" }, body: [EMPTY], verdict: "HTTP 415" },
  "a frame that claims 4 GiB": {
    body: [frame(Buffer.alloc(3), { length: 2 ** 32 - 1 })],
    verdict: "RESOURCE_EXHAUSTED",
  },
  "64 MiB of zeros, compressed": {
    headers: { "grpc-encoding": "gzip" },
    body: [frame(gzipSync(Buffer.alloc(64 * MIB)), { flags: 1 })],
    verdict: "RESOURCE_EXHAUSTED",
  },
  "an unknown compression": {
    headers: { "grpc-encoding": "zstd" },
    body: [frame(Buffer.from("x"), { flags: 1 })],
    verdict: "UNIMPLEMENTED",
  },
  "two messages of a unary call": { body: [EMPTY, EMPTY], verdict: "UNIMPLEMENTED" },
  "a thousand messages of a unary call": {
    body: new Array<Buffer>(1_000).fill(EMPTY),
    verdict: "UNIMPLEMENTED",
  },
  "no message": { body: [], verdict: "UNIMPLEMENTED" },
  "half the head of a frame": { body: [Buffer.from([0, 0])], verdict: "UNIMPLEMENTED" },
  "half a frame": {
    body: [frame(Buffer.alloc(3), { length: 10 })],
    verdict: "UNIMPLEMENTED",
  },
  // grpc-js answers so by itself, before an interceptor is asked; it cannot be had otherwise.
  "what was never compressed, as gzip": {
    headers: { "grpc-encoding": "gzip" },
    body: [frame(Buffer.from("x"), { flags: 1 })],
    verdict: "INTERNAL",
  },
  "a timeout that is no number": {
    headers: { "grpc-timeout": "soon" },
    body: [EMPTY],
    verdict: "INTERNAL",
  },
};
