// Policies with one fault each.
import { NAME } from "./cluster.ts";
import { type Mutant, mutant, remove, whole } from "./mutant.ts";

const RULE = ["spec", "ingress", 0] as const;
export const networkMutants: Mutant[] = [
  whole(
    "no policy that refuses the rest",
    "what nothing is said about is refused",
    remove("NetworkPolicy", "nothing"),
  ),
  mutant(
    "a database that is open to all",
    "pods may call nobody else, and nobody else may call them",
    ["NetworkPolicy", "mongo", ...RULE, "from"],
    [{ podSelector: {} }],
  ),
  mutant(
    "a program that may call everybody",
    "pods may call nobody else, and nobody else may call them",
    ["NetworkPolicy", "gateway", "spec", "egress", 0, "to"],
  ),
  mutant("a caller that is not let in", "pods may call whom they need", [
    "NetworkPolicy",
    "cart",
    ...RULE,
    "from",
    1,
  ]),
  mutant("a caller that may not send", "pods may call whom they need", [
    "NetworkPolicy",
    "order",
    "spec",
    "egress",
    0,
    "to",
    2,
  ]),
  mutant(
    "a policy of another port",
    "pods may call whom they need",
    ["NetworkPolicy", "catalog", ...RULE, "ports", 0, "port"],
    "http",
  ),
  mutant(
    "a policy of the wrong direction",
    "pods may call whom they need",
    ["NetworkPolicy", "payment", "spec", "policyTypes"],
    ["Egress"],
  ),
  mutant(
    "a policy about pods that do not exist",
    "policies are about pods that there are, and ports that they have",
    ["NetworkPolicy", "postgres", "spec", "podSelector", "matchLabels", NAME],
    "postgresql",
  ),
  mutant("names by UDP only", "DNS answers by UDP and by TCP", [
    "NetworkPolicy",
    "dns",
    "spec",
    "egress",
    0,
    "ports",
    1,
  ]),
  whole(
    "pods that cannot look names up",
    "pods may call whom they need",
    remove("NetworkPolicy", "dns"),
  ),
  mutant(
    "pods of no component",
    "every program, database and Job has its component",
    [
      "StatefulSet",
      "mongo",
      "spec",
      "template",
      "metadata",
      "labels",
      "app.kubernetes.io/component",
    ],
    "store",
  ),
];
