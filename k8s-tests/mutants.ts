// All mutants.
import { envMutants } from "./mutants-env.ts";
import { networkMutants } from "./mutants-network.ts";
import { objectMutants } from "./mutants-objects.ts";
import { podMutants } from "./mutants-pods.ts";

export const MUTANTS = [...objectMutants, ...podMutants, ...envMutants, ...networkMutants];
