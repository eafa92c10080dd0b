// Faults of form: of schemas, and of texts.
import { MAIN, type Mutant, mutant } from "./mutant.ts";

/** Found by the compiler, by the models, or by both. */
export const SCHEMA_MUTANTS: readonly Mutant[] = [
  mutant("a field that does not exist", "types", ["Deployment", "cart", "spec", "replica"], 2),
  mutant("a field in the wrong place", "types", ["Deployment", "cart", ...MAIN, "fsGroup"], 1),
  mutant("a number for a text", "both", ["Deployment", "cart", ...MAIN, "env", 0, "value"], 1),
  mutant("a text for a number", "both", ["Deployment", "cart", "spec", "minReadySeconds"], "5"),
  mutant("no name of a container", "both", ["Deployment", "cart", ...MAIN, "name"]),
  mutant("a kind that does not exist", "models", ["Service", "cart", "apiVersion"], "v2"),
  mutant("no selector", "both", ["Deployment", "cart", "spec", "selector"]),
  mutant("a list for an object", "both", ["Service", "cart", "spec", "selector"], ["cart"]),
];

/** Texts that mean something else to other readers; each is one change of a real file. */
export const TEXT_MUTANTS: readonly { what: string; from: string | RegExp; to: string }[] = [
  { what: "a key twice", from: "  type: NodePort\n", to: "  type: NodePort\n  type: NodePort\n" },
  { what: "an anchor", from: "      targetPort: graphql", to: "      targetPort: &port graphql" },
  { what: "a tab", from: "  type: NodePort\n", to: "  type:\tNodePort\n" },
  { what: "on, which is true to YAML 1.1", from: 'value: "0"', to: "value: on" },
  { what: "a number with a leading zero", from: "defaultMode: 288", to: "defaultMode: 0440" },
  { what: "a number in base 60", from: 'value: "30000"', to: "value: 30:00" },
  { what: "a tag", from: "  type: NodePort\n", to: "  type: !port NodePort\n" },
  { what: "wrong indentation", from: "  type: NodePort\n", to: "   type: NodePort\n" },
];
