// compose.yaml against what it speaks of: the programs' settings, the images that are built, itself.
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { PROGRAMS, SERVICES_WITH_DATABASE } from "@piata/setup/programs";
import { IMAGES } from "../scripts/images.ts";
import { type ComposeFile, type ComposeService, readCompose } from "./compose-file.ts";

interface Setting {
  readonly name: string;
  readonly fileName?: string;
  readonly type: { safeParse(value: unknown): { success: boolean } };
}

const KEYS = new Set(
  "image build command user environment volumes tmpfs networks network_mode ports depends_on \
healthcheck read_only cap_drop security_opt shm_size restart stop_grace_period".split(" "),
);
/** What the programs are set to in every container. */
const PORTS = { PORT: 50051, HTTP_PORT: 8080 } as const;

async function settingsOf(folder: string): Promise<Setting[]> {
  const config = new URL(`../${folder}/dist/config.js`, import.meta.url);
  const { settings } = (await import(config.href)) as { settings: Record<string, Setting> };
  return Object.values(settings);
}

describe("compose.yaml", () => {
  let file: ComposeFile;
  let services: [string, ComposeService][];
  const programs = () => services.filter(([name]) => PROGRAMS.includes(name as never));

  before(async () => {
    file = await readCompose();
    services = Object.entries(file.services);
  });

  it("has every program, the setup program and the databases, and nothing else", () => {
    const expected = [...PROGRAMS, "setup", "databases", "postgres", "mongo"].sort();
    assert.deepEqual(services.map(([name]) => name).sort(), expected);
    for (const [name, service] of services) {
      const unknown = Object.keys(service).filter((key) => !KEYS.has(key));
      assert.deepEqual(unknown, [], name);
    }
  });

  it("runs the images that are built, built as they are", () => {
    for (const [name, { image, build }] of services) {
      if (name === "postgres" || name === "mongo") {
        assert.match(image, /^(postgres:18|mongo:8)$/);
        continue;
      }
      const built = IMAGES.find((one) => one.image === image);
      assert.ok(built, `${name}: ${image}`);
      assert.equal(build?.context, ".");
      const { SERVICE, FOLDER = `services/${SERVICE}`, BASE, ...rest } = build?.args ?? {};
      assert.deepEqual([SERVICE, FOLDER], [built.service, built.folder]);
      assert.equal(BASE, "node:26-bookworm-slim");
      assert.deepEqual(rest, {});
    }
  });

  it("sets what the programs read, with values that they take, and all that they need", async () => {
    for (const [name, { image, environment = {} }] of services) {
      const built = IMAGES.find((one) => one.image === image);
      if (!built) continue;
      const settings = await settingsOf(built.folder);
      const known = new Map<string, Setting | undefined>(
        settings.flatMap((one) => [
          [one.name, one],
          ...(one.fileName ? [[one.fileName, undefined] as const] : []),
        ]),
      );
      for (const [variable, value] of Object.entries(environment)) {
        assert.ok(known.has(variable), `${name}: ${variable}`);
        const setting = known.get(variable);
        if (setting) assert.ok(setting.type.safeParse(String(value)).success, variable);
      }
      if (built.service === "setup") continue;
      for (const { name: variable, fileName, type } of settings) {
        const given = variable in environment || (fileName ?? "") in environment;
        assert.ok(given || type.safeParse(undefined).success, `${name}: ${variable} is required`);
      }
    }
  });

  it("sets hosts and ports as every container has them, and targets that are there", () => {
    for (const [name, { environment = {} }] of programs()) {
      const prefix = name.toUpperCase();
      const api = name === "gateway" ? 30_000 : PORTS.PORT;
      assert.equal(environment[`${prefix}_HOST`], "0.0.0.0");
      assert.equal(environment[`${prefix}_PORT`], api);
      assert.equal(environment[`${prefix}_HTTP_PORT`], PORTS.HTTP_PORT);
      assert.equal(environment[`${prefix}_ADVERTISED_HOST`], name);
      assert.equal(environment[`${prefix}_TLS_DIR`], "/run/piata/tls");
      for (const [variable, value] of Object.entries(environment)) {
        const [, of] = /^(\w+)_TARGET$/.exec(variable) ?? [];
        if (of === undefined) continue;
        assert.equal(value, `dns:///${of.toLowerCase()}:${PORTS.PORT}`);
        assert.ok(file.services[of.toLowerCase()]);
      }
    }
  });

  it("confines every container, and publishes only the gateway, on this machine only", () => {
    for (const [name, service] of services) {
      assert.equal(service.read_only, true, name);
      assert.deepEqual(service.cap_drop, ["ALL"], name);
      assert.deepEqual(service.security_opt, ["no-new-privileges:true"], name);
      const ports = name === "gateway" ? ["127.0.0.1:30000:30000"] : undefined;
      assert.deepEqual(service.ports, ports, name);
    }
  });

  it("shows each program its own secrets only, and lets none but the setup program write them", () => {
    for (const [name, { volumes = [] }] of services) {
      for (const volume of volumes) {
        const [source = "", , mode] = volume.split(":");
        assert.ok(source in file.volumes, `${name}: ${source}`);
        if (!source.endsWith("-secrets") || name === "setup") continue;
        assert.equal(mode, "ro", `${name}: ${volume}`);
        if (name !== "databases") assert.equal(source, `${name}-secrets`);
      }
    }
    const used = new Set(services.flatMap(([, { volumes = [] }]) => volumes.map(sourceOf)));
    assert.deepEqual(Object.keys(file.volumes).sort(), [...used].sort());
  });

  it("lets each program meet its database on a network of those two, which leads nowhere else", () => {
    for (const [name, { networks = [], network_mode }] of services) {
      assert.ok(network_mode === "none" || networks.length > 0, name);
      for (const network of networks) assert.ok(network in file.networks, `${name}: ${network}`);
    }
    const on = (network: string) =>
      services.filter(([, one]) => one.networks?.includes(network)).map(([name]) => name);
    const owners = SERVICES_WITH_DATABASE.filter((service) => service !== "cart");
    for (const owner of owners) {
      assert.deepEqual(on(`postgres-${owner}`).sort(), ["postgres", owner].sort());
    }
    assert.deepEqual(on("postgres-setup").sort(), ["databases", "postgres"]);
    assert.deepEqual(on("mongo").sort(), ["cart", "mongo"]);
    assert.deepEqual(on("programs").sort(), [...PROGRAMS].sort());
    assert.deepEqual(on("edge"), ["gateway"]);
    assert.equal(Object.keys(file.networks).length, owners.length + 4);
    for (const [name, { internal }] of Object.entries(file.networks)) {
      assert.equal(internal ?? false, name !== "edge");
    }
  });

  it("starts everything after what it needs", () => {
    for (const [name, { depends_on = {} }] of services) {
      for (const [other, { condition }] of Object.entries(depends_on)) {
        const { restart, healthcheck } = file.services[other] as ComposeService;
        const runsOnce = restart === "no";
        const expected = runsOnce ? "service_completed_successfully" : "service_healthy";
        assert.equal(condition, expected, `${name} after ${other}`);
        assert.equal(healthcheck?.disable ?? false, runsOnce, other);
      }
    }
    const after = (name: string): string[] =>
      Object.keys(file.services[name]?.depends_on ?? {}).flatMap((one) => [one, ...after(one)]);
    for (const [name] of programs()) assert.ok(after(name).includes("setup"), name);
    for (const service of SERVICES_WITH_DATABASE) {
      assert.ok(after(service).includes(service === "cart" ? "mongo" : "databases"), service);
    }
  });
});

const sourceOf = (volume: string): string => volume.slice(0, volume.indexOf(":"));
