/** The certificates by which the programs of a shop know each other. */
// The library asks for it.
import "reflect-metadata";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

/** How long a certificate is good. */
export const DAYS = 365;
/** An authority outlives what it signs, so that certificates can be renewed one by one. */
const AUTHORITY_DAYS = 10 * DAYS;
const DAY_MS = 86_400_000;
/** Clocks may differ, also between the machine that makes them and the one that checks. */
const BEFORE_MS = 3_600_000;

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** Who signs certificates. Both PEM; whoever has the key can be any program. */
export interface Authority {
  readonly "ca.crt": string;
  readonly "ca.key": string;
}

/** What a program shows and believes, all PEM, by the names in a Kubernetes TLS Secret. */
export interface Certificate {
  readonly "ca.crt": string;
  readonly "tls.crt": string;
  readonly "tls.key": string;
}

/** From when until when a certificate is good. */
export interface Period {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** A new authority, which signs certificates of programs and nothing else. */
export async function newAuthority(): Promise<Authority> {
  const keys = await newKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...fromNow(AUTHORITY_DAYS),
    ...unique(),
    name: "CN=piata authority",
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
    ],
  });
  return { "ca.crt": pemOf(certificate), "ca.key": await pemOfKey(keys.privateKey) };
}

/** A new key and certificate of the program, which is its common name and a DNS name. */
export async function issue(
  authority: Authority,
  program: string,
  period: Period = fromNow(DAYS),
): Promise<Certificate> {
  const [ca, signingKey, keys] = await Promise.all([
    new X509Certificate(authority["ca.crt"]),
    keyOf(authority["ca.key"]),
    newKeys(),
  ]);
  const certificate = await X509CertificateGenerator.create({
    ...period,
    ...unique(),
    subject: `CN=${program}`,
    issuer: ca.subject,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension([{ type: "dns", value: program }]),
    ],
  });
  return {
    "ca.crt": authority["ca.crt"],
    "tls.crt": pemOf(certificate),
    "tls.key": await pemOfKey(keys.privateKey),
  };
}

const newKeys = () => crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);

function fromNow(days: number): Period {
  const now = Date.now();
  return { notBefore: new Date(now - BEFORE_MS), notAfter: new Date(now + days * DAY_MS) };
}

const unique = () => ({
  signingAlgorithm: ALGORITHM,
  // Positive, and as good as unique.
  serialNumber: `01${Buffer.from(crypto.getRandomValues(new Uint8Array(15))).toString("hex")}`,
});

const pemOf = (certificate: X509Certificate): string => `${certificate.toString("pem")}\n`;

async function pemOfKey(key: CryptoKey): Promise<string> {
  return `${PemConverter.encode(await crypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY")}\n`;
}

function keyOf(pem: string): Promise<CryptoKey> {
  return crypto.subtle.importKey("pkcs8", PemConverter.decodeFirst(pem), ALGORITHM, false, [
    "sign",
  ]);
}
