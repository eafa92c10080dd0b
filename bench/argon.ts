// The limit of the logins: nothing but the password check, on all cores.
import { availableParallelism } from "node:os";
import { verify } from "@node-rs/argon2";
import { answerQuestions } from "./helper.ts";
import { type Figures, type Span, Tally, type Timed, timed } from "./tally.ts";

export interface ArgonQuestion {
  /** As the shop keeps it: it names the costs with which it was made. */
  readonly passwordHash: string;
  readonly password: string;
  readonly span: Span;
}

export interface ArgonAnswer extends Timed {
  readonly figures: Figures;
}

answerQuestions<ArgonQuestion, ArgonAnswer>(async ({ passwordHash, password, span }, mark) => {
  const tally = new Tally();
  let isWanted = true;
  const work = async () => {
    while (isWanted) {
      const startMs = performance.now();
      if (await verify(passwordHash, password)) tally.add(performance.now() - startMs, 1);
      else tally.fail("the password is wrong");
    }
  };
  const working = Array.from({ length: availableParallelism() }, work);
  const took = await timed(span, [tally], mark);
  isWanted = false;
  await Promise.all(working);
  return { ...took, figures: tally.figures() };
});
