// The Dockerfile, held against rules, and then with one fault at a time.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { lint, RULES } from "./dockerfile.ts";

const text = await readFile(new URL("../Dockerfile", import.meta.url), "utf8");

/** One change each, and the rule that must find it. */
const MUTANTS: readonly { rule: string; from: string | RegExp; to: string }[] = [
  { rule: "a stock Docker 20.10 can read it", from: /^/, to: "# syntax=docker/dockerfile:1\n" },
  { rule: "a stock Docker 20.10 can read it", from: "COPY --from", to: "COPY --link --from" },
  {
    rule: "a stock Docker 20.10 can read it",
    from: "RUN test",
    to: "RUN <<EOF\necho\nEOF\nRUN test",
  },
  {
    rule: "what only BuildKit has is held back from the classic builder",
    from: "ONBUILD RUN --mount",
    to: "RUN --mount",
  },
  { rule: "bases are of a version", from: /^ARG BASE=.*$/m, to: "ARG BASE=node:latest" },
  { rule: "bases are of a version", from: /^ARG BASE=.*$/m, to: "ARG BASE=node" },
  { rule: "nothing is added from elsewhere", from: "COPY packages packages", to: "ADD packages ." },
  { rule: "it runs as nobody in particular, by number", from: /^USER .*$/m, to: "USER 0:0" },
  { rule: "it runs as nobody in particular, by number", from: /^USER .*\n/m, to: "" },
  { rule: "it runs as nobody in particular, by number", from: /^USER .*$/m, to: "USER node" },
  { rule: "it starts without a shell", from: /^ENTRYPOINT .*$/m, to: "ENTRYPOINT node" },
  { rule: "it starts without a shell", from: /^CMD .*$/m, to: "CMD dist/main.js" },
  {
    rule: "its health is asked without a shell",
    from: /^HEALTHCHECK[\s\S]*?\n {2}CMD.*\n/m,
    to: "",
  },
  {
    rule: "its health is asked without a shell",
    from: /^HEALTHCHECK[\s\S]*?\n {2}CMD.*\n/m,
    to: "HEALTHCHECK CMD curl -f http://127.0.0.1:8080/healthz\n",
  },
  {
    rule: "the last stage runs nothing, and so needs no shell to be made",
    from: /^USER/m,
    to: "RUN chmod -R a+r /app\nUSER",
  },
  {
    rule: "what is in the image comes from the stage of what runs",
    from: "COPY --from=production /app /app",
    to: "COPY --from=build /app /app",
  },
  {
    rule: "packages are those of the lockfile, and run no scripts",
    from: "npm ci --ignore-scripts",
    to: "npm install --ignore-scripts",
  },
  {
    rule: "packages are those of the lockfile, and run no scripts",
    from: "npm ci --ignore-scripts",
    to: "npm ci",
  },
  { rule: "packages for development stay outside", from: / --omit=dev/g, to: "" },
  {
    rule: "packages are installed before the sources come, so that a build can go on from there",
    from: "COPY package.json",
    to: "COPY . .\nCOPY package.json",
  },
  { rule: "no secret is an argument or a variable", from: /^USER/m, to: "ENV DB_PASSWORD=x\nUSER" },
  { rule: "folders are absolute", from: "WORKDIR /app", to: "WORKDIR app" },
  { rule: "it says what it is", from: "org.opencontainers.image.revision", to: "revision" },
];

test("the Dockerfile breaks no rule", () => {
  assert.deepEqual([...lint(text)], []);
});

test("each mutant of the Dockerfile is found by the rule that is there for it", () => {
  for (const { rule, from, to } of MUTANTS) {
    const changed = text.replace(from, to);
    assert.notEqual(changed, text, `${rule}: ${from}`);
    assert.ok(lint(changed).has(rule), `${rule}: ${from} as ${to}`);
  }
  const tested = new Set(MUTANTS.map(({ rule }) => rule));
  assert.deepEqual([...tested].sort(), Object.keys(RULES).sort(), "rules without a mutant");
  console.log(`${MUTANTS.length} mutants of the Dockerfile, all found`);
});
