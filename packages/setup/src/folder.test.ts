import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { openPublicKeys } from "@piata/kit/public-keys";
import { openTls } from "@piata/kit/tls";
import { Folder } from "./folder.js";
import { PROGRAMS } from "./programs.js";
import { makeSecrets } from "./secrets.js";

const SERVERS = { postgres: "pg.shop:5432", mongo: "mongo.shop:27017" };

async function newFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "piata-setup-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Every file below the folder: its text and its mode. */
async function filesIn(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const found = files.map(async (file) => {
    const path = join(file.parentPath, file.name);
    const mode = ((await stat(path)).mode & 0o777).toString(8);
    return [path.slice(folder.length + 1), `${mode} ${await readFile(path, "utf8")}`] as const;
  });
  return Object.fromEntries(await Promise.all(found));
}

describe("the secrets in a folder", () => {
  it("are what the programs can start with", async (t) => {
    const folder = await newFolder(t);
    await makeSecrets(new Folder(folder), SERVERS);
    for (const program of PROGRAMS) {
      const tls = await openTls(program, join(folder, program, "tls"));
      const certificate = new X509Certificate(tls.cert);
      assert.equal(certificate.subject, `CN=${program}`);
      assert.ok(certificate.verify(new X509Certificate(tls.ca).publicKey));
    }
    for (const program of ["access", "catalog", "cart", "order"]) {
      await openPublicKeys(join(folder, program, "keys", "public-keys.json"));
    }
    const files = await filesIn(folder);
    const url = (service: string) => files[`${service}/database/url`]?.slice("600 ".length);
    assert.match(String(url("access")), /^postgres:\/\/access:\w{48}@pg\.shop:5432\/user$/);
    assert.match(
      String(url("cart")),
      /^mongodb:\/\/cart:\w{48}@mongo\.shop:27017\/cart\?authSource=admin$/,
    );
  });

  it("can be read by their owner only, but for what is no secret or a server's", async (t) => {
    const folder = await newFolder(t);
    await makeSecrets(new Folder(folder), SERVERS);
    const open = Object.entries(await filesIn(folder))
      .filter(([, text]) => !text.startsWith("600 "))
      .map(([path, text]) => [path, text.slice(0, 3)]);
    for (const [path, mode] of open) {
      assert.match(String(path), /(\.crt|public-keys\.json)$|^(postgres|mongo)\//);
      assert.equal(mode, "444");
    }
  });

  it("stay as they are, and what is lost is made again by the same authority", async (t) => {
    const folder = await newFolder(t);
    await makeSecrets(new Folder(folder), SERVERS);
    const before = await filesIn(folder);
    await rm(join(folder, "order", "tls"), { recursive: true });
    await makeSecrets(new Folder(folder), SERVERS);
    const after = await filesIn(folder);
    const changed = Object.keys(after).filter((path) => after[path] !== before[path]);
    assert.deepEqual(changed.sort(), ["order/tls/tls.crt", "order/tls/tls.key"]);
  });

  it("are the same for all when many make them at once", async (t) => {
    const folder = await newFolder(t);
    await Promise.all(Array.from({ length: 5 }, () => makeSecrets(new Folder(folder), SERVERS)));
    const files = await filesIn(folder);
    const authorities = Object.entries(files).filter(([path]) => path.endsWith("ca.crt"));
    assert.equal(authorities.length, 9);
    assert.equal(new Set(authorities.map(([, text]) => text)).size, 1);
    const keys = Object.entries(files).filter(([path]) => path.endsWith("public-keys.json"));
    assert.equal(new Set(keys.map(([, text]) => text)).size, 1);
    assert.deepEqual(
      Object.keys(files).filter((path) => path.includes(".new")),
      [],
    );
  });

  it("are all in PostgreSQL without a MongoDB", async (t) => {
    const folder = await newFolder(t);
    await makeSecrets(new Folder(folder), { postgres: "pg:5432", mongo: undefined });
    const url = await readFile(join(folder, "cart", "database", "url"), "utf8");
    assert.match(url, /^postgres:\/\/cart:\w+@pg:5432\/cart$/);
  });
});
