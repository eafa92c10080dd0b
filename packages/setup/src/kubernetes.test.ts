import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { type Certificate, issue, newAuthority } from "./certificates.js";
import { Kubernetes } from "./kubernetes.js";
import { CERTIFIED, SERVICES_WITH_DATABASE } from "./programs.js";
import { makeSecrets } from "./secrets.js";

const TOKEN = "the-token-of-the-pod";
const SERVERS = { postgres: "postgres:5432", mongo: undefined };

interface Secret {
  metadata: { name: string };
  type: string;
  stringData?: Record<string, string>;
  data?: Record<string, string>;
}

/** As much of the API server as Secrets of one namespace need. */
class ApiServer {
  readonly secrets = new Map<string, Secret>();
  readonly calls: string[] = [];
  /** What it may not do. */
  forbidden = "";
  /** Called before a Secret is made. */
  beforeCreate: (name: string) => void = () => undefined;
  readonly #server: Server;

  constructor(certificate: Certificate) {
    const options = { key: certificate["tls.key"], cert: certificate["tls.crt"] };
    this.#server = createServer(options, (request, response) => {
      let text = "";
      request.on("data", (part) => {
        text += part;
      });
      request.on("end", () => {
        const { method = "", url = "", headers } = request;
        const [status, body] =
          headers.authorization === `Bearer ${TOKEN}`
            ? this.#answer(method, url, text)
            : [401, { message: "Unauthorized" }];
        response.writeHead(status, { "content-type": "application/json" });
        response.end(JSON.stringify(body));
      });
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, "localhost", resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  put(name: string, texts: Record<string, string>, type = "Opaque"): void {
    const entries = Object.entries(texts);
    const data = entries.map(([key, text]) => [key, Buffer.from(text).toString("base64")]);
    this.secrets.set(name, { metadata: { name }, type, data: Object.fromEntries(data) });
  }

  text(name: string, key: string): string {
    return Buffer.from(this.secrets.get(name)?.data?.[key] ?? "", "base64").toString();
  }

  #answer(method: string, url: string, text: string): [number, object] {
    const [, name] = /^\/api\/v1\/namespaces\/shop\/secrets(?:\/([\w-]+))?$/.exec(url) ?? [];
    this.calls.push(`${method} ${name ?? ""}`.trim());
    if (method === this.forbidden) {
      return [403, { message: `secrets is forbidden: User "setup" cannot do that` }];
    }
    if (method === "GET" && name !== undefined) {
      const found = this.secrets.get(name);
      return found ? [200, found] : [404, { message: `secrets "${name}" not found` }];
    }
    if (method !== "POST") return [405, { message: "method not allowed" }];
    const { metadata, type, stringData = {} } = JSON.parse(text) as Secret;
    this.beforeCreate(metadata.name);
    if (this.secrets.has(metadata.name)) return [409, { message: "already exists" }];
    this.put(metadata.name, stringData, type);
    return [201, {}];
  }
}

describe("the secrets in a cluster", () => {
  let folder: string;
  let certificate: Certificate;
  let api: ApiServer;
  let options: { host: string; port: number; accountDir: string };

  before(async () => {
    const authority = await newAuthority();
    certificate = await issue(authority, "localhost");
    folder = await mkdtemp(join(tmpdir(), "piata-account-"));
    await writeFile(join(folder, "ca.crt"), authority["ca.crt"]);
    await writeFile(join(folder, "token"), `${TOKEN}\n`);
    await writeFile(join(folder, "namespace"), "shop");
  });
  after(() => rm(folder, { recursive: true }));

  beforeEach(async (t) => {
    const server = new ApiServer(certificate);
    api = server;
    options = { host: "localhost", port: await server.listen(), accountDir: folder };
    (t as { after(close: () => void): void }).after(() => server.close());
  });

  const run = async () => makeSecrets(await Kubernetes.open(options), SERVERS);

  it("are all made, each of the type that its pods expect", async () => {
    await run();
    assert.deepEqual(
      [...api.secrets.keys()].sort(),
      [
        ...["certificate-authority", "access-signing-key", "public-keys", "postgres-admin"],
        ...CERTIFIED.map((name) => `tls-${name}`),
        ...SERVICES_WITH_DATABASE.map((service) => `database-${service}`),
      ].sort(),
    );
    const { type, data = {} } = api.secrets.get("tls-catalog") as Secret;
    assert.equal(type, "kubernetes.io/tls");
    assert.deepEqual(Object.keys(data).sort(), ["ca.crt", "tls.crt", "tls.key"]);
    assert.match(
      api.text("database-order", "url"),
      /^postgres:\/\/order:\w+@postgres:5432\/order$/,
    );
  });

  it("are made once: the second run reads, and writes nothing", async () => {
    await run();
    const before = structuredClone([...api.secrets]);
    api.calls.length = 0;
    await run();
    assert.deepEqual([...api.secrets], before);
    assert.deepEqual(
      api.calls.filter((call) => !call.startsWith("GET ")),
      [],
    );
  });

  it("of the shop's owner are taken as they are", async () => {
    const url = "postgres://mine:secret@elsewhere:5432/user";
    api.put("database-access", { url });
    await run();
    assert.equal(api.text("database-access", "url"), url);
  });

  it("fit together when a run that ended in the middle is followed by another", async () => {
    api.beforeCreate = (name) => {
      if (name === "tls-cart") api.forbidden = "POST";
    };
    api.forbidden = "";
    await run().catch(() => undefined);
    assert.equal(api.secrets.has("public-keys"), false);
    api.beforeCreate = () => undefined;
    api.forbidden = "";
    await run();
    const authorities = CERTIFIED.map((name) => api.text(`tls-${name}`, "ca.crt"));
    assert.equal(new Set(authorities).size, 1);
  });

  it("are another's where another was first by a moment", async () => {
    const theirs = "postgres://access:theirs@postgres:5432/user";
    api.beforeCreate = (name) => {
      if (name === "database-access") api.put(name, { url: theirs });
    };
    await Promise.all([run(), run(), run()]);
    assert.equal(api.text("database-access", "url"), theirs);
    const authorities = CERTIFIED.map((name) => api.text(`tls-${name}`, "ca.crt"));
    assert.equal(new Set(authorities).size, 1);
  });

  it("need rights, and whoever lacks them is told which", async () => {
    for (const [method, verb] of [
      ["POST", "create"],
      ["GET", "get"],
    ]) {
      api.forbidden = method as string;
      await assert.rejects(
        run(),
        new RegExp(`may not ${verb} Secrets in the namespace shop.*Role.*cannot do that`),
      );
    }
  });

  it("are not made by who has no token, an old one, or no API server that it can believe", async () => {
    await assert.rejects(
      Kubernetes.open({ ...options, accountDir: join(folder, "none") }),
      /cannot be read \(ENOENT\).*automountServiceAccountToken/,
    );
    const other = await mkdtemp(join(tmpdir(), "piata-account-"));
    const authority = await newAuthority();
    await writeFile(join(other, "ca.crt"), authority["ca.crt"]);
    await writeFile(join(other, "token"), TOKEN);
    await writeFile(join(other, "namespace"), "shop");
    const stranger = await Kubernetes.open({ ...options, accountDir: other });
    await assert.rejects(makeSecrets(stranger, SERVERS), /does not answer: .*certificate/);
    await writeFile(join(other, "token"), "expired");
    await writeFile(join(other, "ca.crt"), certificate["ca.crt"]);
    const expired = await Kubernetes.open({ ...options, accountDir: other });
    await assert.rejects(makeSecrets(expired, SERVERS), /does not know our token/);
    await rm(other, { recursive: true });
  });

  it("are not overwritten when one that others are made of is broken", async () => {
    api.put("access-signing-key", { "wrong.pem": "" });
    await assert.rejects(run(), /access-signing-key, which was there, has no key\.pem/);
  });
});
