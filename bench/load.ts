// The load: a process of its own that works for many customers at once, each on a connection.
import { type FlowName, flowOf, type World } from "./flows.ts";
import { answerQuestions } from "./helper.ts";
import { Lane } from "./lane.ts";
import { type Figures, type Span, Tally, type Timed, timed } from "./tally.ts";

export interface Work {
  readonly world: string;
  readonly flow: FlowName;
  readonly connections: number;
  readonly seed: number;
}

export type LoadQuestion =
  | { readonly kind: "world"; readonly name: string; readonly world: World }
  | {
      readonly kind: "run";
      readonly work: Work;
      /** What goes on beside it. */
      readonly beside?: Work | undefined;
      readonly span: Span;
    };

export interface LoadAnswer extends Timed {
  readonly figures: Figures;
  readonly beside?: Figures | undefined;
}

const worlds = new Map<string, World>();
const PREPARED_AT_ONCE = 32;

function lanesOf({ world: name, flow, connections, seed }: Work, tally: Tally): Lane[] {
  const world = worlds.get(name);
  if (world === undefined) throw new Error(`The load knows no world ${name}.`);
  const url = new URL(world.url);
  return Array.from({ length: connections }, (_, lane) => {
    return new Lane(url, flowOf(flow, world, { lane, lanes: connections, seed }), tally);
  });
}

async function run(
  { work, beside, span }: Extract<LoadQuestion, { kind: "run" }>,
  mark: (mark: "begin" | "end") => void,
): Promise<LoadAnswer> {
  const works = beside === undefined ? [work] : [work, beside];
  const tallies = works.map(() => new Tally());
  const lanes = works.flatMap((one, index) => lanesOf(one, tallies[index] as Tally));
  for (let at = 0; at < lanes.length; at += PREPARED_AT_ONCE) {
    await Promise.all(lanes.slice(at, at + PREPARED_AT_ONCE).map((lane) => lane.prepare()));
  }
  for (const lane of lanes) lane.start();
  const took = await timed(span, tallies, mark);
  await Promise.all(lanes.map((lane) => lane.stop()));
  const [figures, besides] = tallies.map((tally) => tally.figures());
  return { ...took, figures: figures as Figures, beside: besides };
}

answerQuestions<LoadQuestion, LoadAnswer | undefined>(async (question, mark) => {
  if (question.kind === "run") return run(question, mark);
  worlds.set(question.name, question.world);
  return undefined;
});
