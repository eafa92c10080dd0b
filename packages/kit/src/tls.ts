/**
 * Mutual TLS between programs: each has a certificate that names it, from one authority that all
 * trust. A caller checks that it has reached the service it means; a server learns from the
 * certificate, and from nothing else, who calls.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import {
  type ChannelCredentials,
  type ChannelOptions,
  credentials,
  ServerCredentials,
} from "@grpc/grpc-js";
import { ConfigError } from "./config.js";

/** A program's certificate and what it trusts, all PEM. */
export interface Tls {
  /** The authority whose certificates are believed. */
  ca: Buffer;
  /** Its own certificate: the common name and a DNS name are the program's, such as "catalog". */
  cert: Buffer;
  key: Buffer;
}

/**
 * Reads `ca.crt`, `tls.crt` and `tls.key`, the names in a Kubernetes TLS secret. `name` is the
 * setting that names the folder. Throws ConfigError.
 */
export async function openTls(name: string, folder: string): Promise<Tls> {
  const read = (file: string) =>
    readFile(join(folder, file)).catch((error: NodeJS.ErrnoException) => {
      throw new ConfigError(`${name}: ${file} cannot be read (${error.code}).`);
    });
  // One after the other, so that the fault that is told is always the first.
  const tls = {
    ca: await read("ca.crt"),
    cert: await read("tls.crt"),
    key: await read("tls.key"),
  };
  try {
    createSecureContext(tls);
  } catch (error) {
    throw new ConfigError(
      `${name}: the certificates cannot be used (${(error as Error).message}).`,
    );
  }
  return tls;
}

/** What a server listens with: without certificates, plain text. */
export const serverCredentials = (tls: Tls | undefined): ServerCredentials =>
  tls
    ? ServerCredentials.createSsl(
        tls.ca,
        [{ private_key: tls.key, cert_chain: tls.cert }],
        // Who has no certificate of ours is not spoken to.
        true,
      )
    : ServerCredentials.createInsecure();

/** What a caller of `service` connects with, wherever its instances are. */
export function channelCredentials(
  service: string,
  tls: Tls | undefined,
): { credential: ChannelCredentials; options: ChannelOptions } {
  if (!tls) return { credential: credentials.createInsecure(), options: {} };
  return {
    credential: credentials.createSsl(tls.ca, tls.key, tls.cert),
    options: { "grpc.ssl_target_name_override": service },
  };
}
