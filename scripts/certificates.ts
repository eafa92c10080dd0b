// npm run certificates -- DIR: certificates by which the programs of a shop know each other.
//
// Each start of npm start makes new ones for itself. The authority's key signs them and is
// forgotten, so that nobody can ever make another certificate that these programs believe.
// The library asks for it.
import "reflect-metadata";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { sentence, writeWhole } from "./files.ts";
import { PROGRAMS } from "./options.ts";

const DAYS = 365;
const DAY_MS = 86_400_000;
/** Clocks may differ, also between the machine that makes them and the one that checks. */
const BEFORE_MS = 3_600_000;

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** Who is given a certificate: every program, and whoever runs the shop's commands. */
const NAMES = [...PROGRAMS, "operator"];

const newKeys = () => crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);

/** From when until when a certificate is good. */
export interface Period {
  notBefore: Date;
  notAfter: Date;
}

function usualPeriod(): Period {
  const from = Date.now();
  return { notBefore: new Date(from - BEFORE_MS), notAfter: new Date(from + DAYS * DAY_MS) };
}

/** Writes ca.crt, tls.crt and tls.key for each program into a folder of its own. */
export async function writeCertificates(dir: string): Promise<void> {
  const authority = await Authority.create();
  await Promise.all(NAMES.map((name) => authority.write(join(dir, name), name)));
}

/** Signs certificates; its key is nowhere but in it. */
export class Authority {
  readonly #certificate: X509Certificate;
  readonly #key: CryptoKey;

  private constructor(certificate: X509Certificate, key: CryptoKey) {
    this.#certificate = certificate;
    this.#key = key;
  }

  static async create(): Promise<Authority> {
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      ...usualPeriod(),
      signingAlgorithm: ALGORITHM,
      serialNumber: serialNumber(),
      name: "CN=piata authority",
      keys,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      ],
    });
    return new Authority(certificate, keys.privateKey);
  }

  /** Writes a program's ca.crt, tls.crt and tls.key into a folder. */
  async write(folder: string, name: string, period = usualPeriod()): Promise<void> {
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.create({
      ...period,
      signingAlgorithm: ALGORITHM,
      serialNumber: serialNumber(),
      subject: `CN=${name}`,
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#key,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        new SubjectAlternativeNameExtension([{ type: "dns", value: name }]),
      ],
    });
    await write(folder, { authority: this.#certificate, certificate, key: keys.privateKey });
  }
}

interface Certified {
  authority: X509Certificate;
  certificate: X509Certificate;
  key: CryptoKey;
}

async function write(folder: string, { authority, certificate, key }: Certified): Promise<void> {
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey("pkcs8", key)).toString("base64");
  const lines = pkcs8.match(/.{1,64}/g) as string[];
  const pem = ["-----BEGIN PRIVATE KEY-----", ...lines, "-----END PRIVATE KEY-----", ""].join("\n");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeWhole(join(folder, "ca.crt"), `${authority.toString("pem")}\n`);
  await writeWhole(join(folder, "tls.crt"), `${certificate.toString("pem")}\n`);
  await writeWhole(join(folder, "tls.key"), pem, 0o600);
}

// Positive, and as good as unique.
const serialNumber = (): string =>
  `01${Buffer.from(crypto.getRandomValues(new Uint8Array(15))).toString("hex")}`;

if (import.meta.main) {
  const [dir, ...more] = process.argv.slice(2);
  if (dir === undefined || dir.startsWith("-") || more.length > 0) {
    console.error("Usage: npm run certificates -- DIR");
    process.exit(1);
  }
  const folder = resolve(dir);
  writeCertificates(folder).then(
    () => console.log(`${folder}: one folder each for ${NAMES.join(", ")}; good for ${DAYS} days.`),
    (error) => {
      console.error(sentence(error));
      process.exitCode = 1;
    },
  );
}
