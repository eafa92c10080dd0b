// Processes beside the shop: the load, and the limits that it is compared with. Each is one of its own,
// so that its CPU time is told apart.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

export type Mark = "begin" | "end";

type Message<Answer> =
  | { readonly mark: Mark }
  | { readonly answer: Answer }
  | { readonly failure: string };

/** A process that is asked one thing at a time. */
export class Helper<Question, Answer> {
  readonly #child: ChildProcess;

  constructor(file: string, env: NodeJS.ProcessEnv = {}) {
    this.#child = fork(join(import.meta.dirname, file), {
      serialization: "advanced",
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...env },
    });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** `onMark` is told when what is measured begins and ends. Throws what the other side threw, or its end. */
  ask(question: Question, onMark: (mark: Mark) => void = () => undefined): Promise<Answer> {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const over = () => {
        child.off("message", hear);
        child.off("exit", ended);
      };
      const ended = (code: number | null, signal: string | null) => {
        over();
        reject(new Error(`A process beside the shop ended with ${code ?? signal}.`));
      };
      const hear = (message: Message<Answer>) => {
        if ("mark" in message) {
          onMark(message.mark);
          return;
        }
        over();
        if ("answer" in message) resolve(message.answer);
        else reject(new Error(message.failure));
      };
      child.on("message", hear);
      child.on("exit", ended);
      child.send(question as object);
    });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}

/** The other side: answers each question, and ends when nobody can ask any more. */
export function answerQuestions<Question, Answer>(
  answer: (question: Question, mark: (mark: Mark) => void) => Promise<Answer>,
): void {
  const send = (message: Message<Answer>) => process.send?.(message);
  process.on("message", (question: Question) => {
    answer(question, (mark) => send({ mark })).then(
      (found) => send({ answer: found }),
      (error: Error) => send({ failure: error.message }),
    );
  });
  process.on("disconnect", () => process.exit());
}
