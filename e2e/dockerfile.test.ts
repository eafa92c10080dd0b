// The Dockerfile: builds with both of Docker's builders, and makes images that can be confined. What it
// may contain at all is linted in k8s-tests/.
import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const root = new URL("../", import.meta.url);

interface Instruction {
  readonly name: string;
  readonly rest: string;
  /** The stage that it stands in; "" for what stands before all. */
  readonly stage: string;
}

/** Throws for a line that is none of a Dockerfile's. */
function parse(text: string): Instruction[] {
  const lines = text
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .join("\n")
    .replace(/\\\n\s*/g, " ")
    .split("\n")
    .filter((line) => line !== "");
  let stage = "";
  return lines.map((line) => {
    const [, name = "", rest = ""] = /^([A-Z]+) (.+)$/.exec(line) ?? [];
    assert.match(
      name,
      /^(ARG|FROM|WORKDIR|COPY|RUN|ONBUILD|LABEL|ENV|USER|HEALTHCHECK|ENTRYPOINT|CMD)$/,
    );
    if (name === "FROM") stage = / AS ([\w-]+)$/.exec(rest)?.[1] ?? "image";
    return { name, rest, stage };
  });
}

describe("the Dockerfile", () => {
  let text: string;
  let instructions: Instruction[];
  const inStage = (stage: string, name: string) =>
    instructions.filter((one) => one.stage === stage && one.name === name).map(({ rest }) => rest);

  before(async () => {
    text = await readFile(new URL("Dockerfile", root), "utf8");
    instructions = parse(text);
  });

  it("keeps cache mounts from the classic builder, which fails at them", () => {
    const mounting = instructions.filter(({ rest }) => rest.includes("--mount"));
    assert.equal(mounting.length, 2);
    for (const { name, rest, stage } of mounting) {
      assert.equal(name, "ONBUILD");
      assert.match(stage, /-cached$/);
      assert.match(rest, /--mount=type=cache,id=piata-npm,target=\/root\/\.npm\s+npm ci /);
      // The same without the mount.
      const plain = rest.replace(/--mount=\S+\s+/, "");
      assert.ok(inStage(stage.replace("-cached", ""), "ONBUILD").includes(plain), stage);
    }
  });

  it("installs what package-lock.json says, without anybody's scripts", () => {
    for (const { rest } of instructions) {
      if (/\bnpm\b/.test(rest) && rest.includes("npm ci"))
        assert.match(rest, /npm ci --ignore-scripts/);
      assert.doesNotMatch(rest, /\b(npm (i|install)|npx|curl|wget|apt-get)\b/);
    }
  });

  it("shows npm the package.json of every workspace, before the sources", () => {
    const workspaces = globSync("{packages,services}/*/package.json", { cwd: fileURLToPath(root) });
    const expected = workspaces.map((path) => path.replaceAll("\\", "/"));
    const copied = inStage("packages", "COPY").map((rest) => rest.split(" ")[0] as string);
    assert.deepEqual(copied.filter((path) => path !== "package.json").sort(), expected.sort());
  });

  it("makes images that run as a numbered nobody, without a shell", () => {
    assert.deepEqual(inStage("image", "USER"), ["10001:10001"]);
    assert.deepEqual(inStage("image", "RUN"), []);
    assert.deepEqual(inStage("image", "ENTRYPOINT"), ['["node"]']);
    assert.deepEqual(inStage("image", "CMD"), ['["dist/main.js"]']);
    const [health = ""] = inStage("image", "HEALTHCHECK");
    const [, command = ""] = /CMD (\[.*\])$/.exec(health) ?? [];
    assert.equal((JSON.parse(command) as string[])[0], "node");
  });

  it("sends the builder what it copies, and neither history nor secrets", async () => {
    const ignored = (await readFile(new URL(".dockerignore", root), "utf8"))
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    assert.equal(ignored[0], "*");
    const sources = instructions
      .filter(({ name, rest }) => name === "COPY" && !rest.includes("--from="))
      .flatMap(({ rest }) => rest.split(" ").slice(0, -1))
      .map((path) => path.split("/")[0] as string);
    const sent = ignored.filter((line) => line.startsWith("!")).map((line) => line.slice(1));
    assert.deepEqual(sent.sort(), [...new Set(sources)].sort());
  });
});
