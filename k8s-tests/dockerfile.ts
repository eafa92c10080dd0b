// A lint of the Dockerfile: what an image must not be, and what a builder of Docker 20.10 cannot read.

export interface Instruction {
  /** In capitals; of an ONBUILD what it holds back, with `isTrigger`. */
  name: string;
  text: string;
  isTrigger: boolean;
}

export interface Stage {
  name: string;
  base: string;
  instructions: Instruction[];
}

export interface Dockerfile {
  text: string;
  /** Before the first FROM: arguments that bases are named by. */
  args: ReadonlyMap<string, string>;
  stages: Stage[];
}

type Rule = (file: Dockerfile) => string[];

export function parseDockerfile(text: string): Dockerfile {
  const args = new Map<string, string>();
  const stages: Stage[] = [];
  const joined = text.replaceAll(/^\s*#.*\n/gm, "").replaceAll(/\\\n/g, " ");
  for (const line of joined.split("\n").filter((line) => line.trim() !== "")) {
    const [, trigger, name = "", rest = ""] = /^(ONBUILD\s+)?([A-Za-z]+)\s+(.*)$/.exec(line) ?? [];
    const instruction = {
      name: name.toUpperCase(),
      text: rest.trim(),
      isTrigger: trigger !== undefined,
    };
    if (instruction.name === "FROM") {
      const [, base = "", alias] = /^(\S+)(?:\s+AS\s+(\S+))?$/i.exec(instruction.text) ?? [];
      stages.push({ name: alias ?? String(stages.length), base, instructions: [] });
    } else if (stages.length === 0) {
      const [argument = "", value = ""] = instruction.text.split("=");
      args.set(argument, value);
    } else stages.at(-1)?.instructions.push(instruction);
  }
  return { text, args, stages };
}

const all = ({ stages }: Dockerfile): Instruction[] => stages.flatMap((one) => one.instructions);
const last = ({ stages }: Dockerfile): Instruction[] => stages.at(-1)?.instructions ?? [];
const named = (instructions: Instruction[], name: string): Instruction[] =>
  instructions.filter((one) => one.name === name);

/** A list of words, as JSON; undefined for words that a shell is to read. */
function execForm(text: string | undefined): string[] | undefined {
  try {
    const words: unknown = JSON.parse((text ?? "").replace(/^.*?(?=\[)/s, ""));
    return Array.isArray(words) && words.length > 0 ? words : undefined;
  } catch {
    return undefined;
  }
}

export const RULES: Readonly<Record<string, Rule>> = {
  "a stock Docker 20.10 can read it": ({ text }) =>
    [
      [/^#\s*syntax\s*=/im, "a syntax line"],
      [/^\s*(?:RUN|COPY|ONBUILD)\b.*<<-?\s*["']?\w/m, "a heredoc"],
      [/^\s*(?:COPY|ADD)\b.*--(?:link|parents|exclude)/m, "COPY --link and its like"],
    ].flatMap(([pattern, what]) => ((pattern as RegExp).test(text) ? [what as string] : [])),

  "what only BuildKit has is held back from the classic builder": (file) =>
    all(file)
      .filter(({ text, isTrigger }) => text.startsWith("--mount") && !isTrigger)
      .map(({ text }) => text),

  "bases are of a version": (file) => {
    const stages = file.stages.map(({ name }) => name);
    return file.stages.flatMap(({ base }) => {
      const name = base.replaceAll(/\$\{?(\w+)(?::[+-][^}]*)?\}?/g, (_whole, argument: string) =>
        argument === "TARGETARCH" ? "" : (file.args.get(argument) ?? ""),
      );
      if (stages.includes(name)) return [];
      return /^[\w./-]+:[\w.-]*\d[\w.-]*$/.test(name) && !name.endsWith(":latest") ? [] : [base];
    });
  },

  "nothing is added from elsewhere": (file) => named(all(file), "ADD").map(({ text }) => text),

  "it runs as nobody in particular, by number": (file) => {
    const users = named(last(file), "USER").map(({ text }) => text);
    return /^[1-9]\d*:[1-9]\d*$/.test(users.at(-1) ?? "") ? [] : [users.at(-1) ?? "as root"];
  },

  "it starts without a shell": (file) =>
    ["ENTRYPOINT", "CMD"].filter((name) => !execForm(named(last(file), name).at(-1)?.text)),

  "its health is asked without a shell": (file) => {
    const [check] = named(last(file), "HEALTHCHECK");
    return execForm(check?.text)?.[0] === "node" && check?.text.includes("/healthz")
      ? []
      : [check?.text ?? "no HEALTHCHECK"];
  },

  "the last stage runs nothing, and so needs no shell to be made": (file) =>
    named(last(file), "RUN").map(({ text }) => text),

  "what is in the image comes from the stage of what runs": (file) =>
    named(last(file), "COPY")
      .filter(({ text }) => !/^--from=production\b/.test(text))
      .map(({ text }) => text),

  "packages are those of the lockfile, and run no scripts": (file) =>
    all(file).flatMap(({ name, text }) => {
      if (name !== "RUN" || !/\bnpm\b/.test(text)) return [];
      const isLocked = /\bnpm ci\b/.test(text) && text.includes("--ignore-scripts");
      return isLocked ? [] : [text];
    }),

  "packages for development stay outside": (file) => {
    const production = file.stages.find(({ name }) => name === "production");
    // parts, or parts-cached where there is BuildKit.
    const [prefix = ""] = production?.base.split("$") ?? [];
    const bases = file.stages.filter(({ name }) => [prefix, `${prefix}-cached`].includes(name));
    const installs = bases
      .flatMap(({ instructions }) => named(instructions, "RUN"))
      .filter(({ text }) => text.includes("npm ci"));
    const wrong = installs.filter(({ text }) => !text.includes("--omit=dev"));
    return installs.length > 0 ? wrong.map(({ text }) => text) : ["nothing is installed"];
  },

  "packages are installed before the sources come, so that a build can go on from there": (file) =>
    file.stages
      .filter(({ base }) => base.includes("BASE"))
      .slice(0, 1)
      .flatMap(({ instructions }) =>
        named(instructions, "COPY")
          .filter(({ text }) => !/package(-lock)?\.json|\.npmrc/.test(text))
          .map(({ text }) => text),
      ),

  "no secret is an argument or a variable": (file) =>
    [...named(all(file), "ARG"), ...named(all(file), "ENV")]
      .filter(({ text }) => /PASSWORD|SECRET|TOKEN|PRIVATE|DATABASE_URL/i.test(text))
      .map(({ text }) => text),

  "folders are absolute": (file) =>
    named(all(file), "WORKDIR")
      .filter(({ text }) => !text.startsWith("/"))
      .map(({ text }) => text),

  "it says what it is": (file) => {
    const labels = named(last(file), "LABEL")
      .map(({ text }) => text)
      .join(" ");
    return ["title", "version", "revision", "licenses"].filter(
      (label) => !labels.includes(`org.opencontainers.image.${label}=`),
    );
  },
};

/** What each rule that is broken found. */
export function lint(text: string): Map<string, string[]> {
  const file = parseDockerfile(text);
  const found = Object.entries(RULES).map(([name, rule]) => [name, rule(file)] as const);
  return new Map(found.filter(([, faults]) => faults.length > 0));
}
