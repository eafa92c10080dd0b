/** What the edge knows of a request, kept on it for whoever answers. */
import type { IncomingMessage } from "node:http";
import type { Visitor } from "./visitor.js";

export type HeaderFields = Readonly<Record<string, string>>;

export interface Arrival {
  readonly visitor: Visitor;
  /** What every answer to it has to have. */
  headers: HeaderFields;
}

const ARRIVAL = Symbol("arrival");

interface Arrived extends IncomingMessage {
  [ARRIVAL]?: Arrival;
}

export function arrive(request: IncomingMessage, arrival: Arrival): Arrival {
  (request as Arrived)[ARRIVAL] = arrival;
  return arrival;
}

/** Undefined for a request that has passed no edge. */
export const arrivalOf = (request: IncomingMessage): Arrival | undefined =>
  (request as Arrived)[ARRIVAL];
