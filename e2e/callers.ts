// Programs, and who would be one, before the RPCs of a running shop.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type ChannelCredentials,
  Client,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { AccessServiceService } from "@piata/contracts/access";
import { CartServiceService } from "@piata/contracts/cart";
import { CatalogServiceService } from "@piata/contracts/catalog";
import { DiscoveryServiceService } from "@piata/contracts/discovery";
import { OrderServiceService } from "@piata/contracts/order";
import { PaymentServiceService } from "@piata/contracts/payment";
import { UserServiceService } from "@piata/contracts/user";
import { failureIn } from "@piata/kit/errors";
import type { Shop } from "@piata/testkit/shop";
import { writeCertificates } from "../scripts/certificates.ts";
import { PROGRAMS } from "../scripts/options.ts";

const TIMEOUT_MS = 10_000;

/** What serves which RPCs. */
export const SERVICES: Readonly<Record<string, Readonly<Record<string, Method>>>> = {
  access: { ...AccessServiceService, ...UserServiceService },
  catalog: CatalogServiceService,
  cart: CartServiceService,
  order: OrderServiceService,
  payment: PaymentServiceService,
  discovery: DiscoveryServiceService,
};

interface Method {
  path: string;
  responseStream: boolean;
}

/** "CartService/BatchTake", as docs/permissions.md has it. */
export const nameOf = ({ path }: Method): string => path.slice(path.lastIndexOf(".") + 1);

export const CERTIFIED: readonly string[] = [...PROGRAMS, "operator"];

/** Whom nobody may answer, whatever they call themselves. */
export const STRANGERS = [
  "no certificate",
  "of another shop",
  "of another shop that trusts ours",
  "plain text",
] as const;
type Stranger = (typeof STRANGERS)[number];

/** Callers of every kind, and what their calls come to. */
export class Callers {
  readonly #shop: Shop;
  /** Certificates of an authority of their own, for the same names. */
  readonly #otherShop: string;
  readonly #clients: Client[] = [];

  private constructor(shop: Shop, otherShop: string) {
    this.#shop = shop;
    this.#otherShop = otherShop;
  }

  static async open(shop: Shop): Promise<Callers> {
    const otherShop = await mkdtemp(join(tmpdir(), "piata-other-shop-"));
    await writeCertificates(otherShop);
    return new Callers(shop, otherShop);
  }

  /** A connection of a program of the shop. */
  async of(program: string, service: string): Promise<Client> {
    return this.#client(service, ...(await this.#files("ours", program)));
  }

  /** A connection of somebody who would be the one program that may call nearly everything. */
  async stranger(kind: Stranger, service: string): Promise<Client> {
    const [ca] = await this.#files("ours", "gateway");
    switch (kind) {
      case "no certificate":
        return this.#client(service, ca);
      case "of another shop":
        return this.#client(service, ...(await this.#files("theirs", "gateway")));
      case "of another shop that trusts ours": {
        const [, key, cert] = await this.#files("theirs", "gateway");
        return this.#client(service, ca, key, cert);
      }
      case "plain text":
        return this.#client(service);
    }
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    await rm(this.#otherShop, { recursive: true });
  }

  async #client(service: string, ...pem: Buffer[]): Promise<Client> {
    const { address } = await this.#shop.process(service);
    const client = new Client(address, credentialsOf(pem), {
      "grpc.ssl_target_name_override": service,
    });
    this.#clients.push(client);
    return client;
  }

  /** What a program trusts, its key and its certificate. */
  async #files(shop: "ours" | "theirs", program: string): Promise<[Buffer, Buffer, Buffer]> {
    const folder =
      shop === "ours"
        ? join(this.#shop.dataDir, "secrets/tls", program)
        : join(this.#otherShop, program);
    const [ca, key, cert] = ["ca.crt", "tls.key", "tls.crt"].map((name) =>
      readFile(join(folder, name)),
    ) as [Promise<Buffer>, Promise<Buffer>, Promise<Buffer>];
    return Promise.all([ca, key, cert]);
  }
}

function credentialsOf([ca, key, cert]: Buffer[]): ChannelCredentials {
  return ca ? credentials.createSsl(ca, key ?? null, cert ?? null) : credentials.createInsecure();
}

/** These are the bytes of no message: who may call is told so, and nothing is done. */
const NO_MESSAGE = Buffer.from("ffffff", "hex");

/**
 * What an RPC says to a caller: ALLOWED, the code and reason of a refusal, or UNHEARD when no service
 * has answered. Nothing is done for it.
 */
export function verdict(client: Client, { path, responseStream }: Method): Promise<string> {
  return new Promise((resolve) => {
    const told = (error: ServiceError | null) => resolve(verdictOf(error));
    const asIs = (bytes: Buffer) => bytes;
    const metadata = new Metadata();
    // What a caller says of itself counts for nothing.
    metadata.set("x-caller", "gateway");
    const options = { deadline: Date.now() + TIMEOUT_MS };
    if (responseStream) {
      client
        .makeServerStreamRequest(path, asIs, asIs, NO_MESSAGE, metadata, options)
        .on("data", () => resolve("OK"))
        .on("error", told);
    } else client.makeUnaryRequest(path, asIs, asIs, NO_MESSAGE, metadata, options, told);
  });
}

function verdictOf(error: ServiceError | null): string {
  if (!error) return "OK";
  const failure = failureIn(error.metadata);
  if (failure?.reason === "MESSAGE_INVALID") return "ALLOWED";
  if (failure) return `${failure.code} / ${failure.reason}`;
  return error.code === status.UNAVAILABLE ? "UNHEARD" : (status[error.code] ?? "UNKNOWN");
}

/** Whether gRPC's own health service answers. */
export function health(client: Client): Promise<string> {
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      "/grpc.health.v1.Health/Check",
      () => Buffer.alloc(0),
      (bytes: Buffer) => bytes,
      null,
      { deadline: Date.now() + TIMEOUT_MS },
      (error) => resolve(verdictOf(error)),
    );
  });
}
