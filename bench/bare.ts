// The limit of the reads: a node:http server that reads a request and answers bytes that it holds.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { answerQuestions } from "./helper.ts";

export interface BareQuestion {
  /** Names and values in turn, as they come on the wire. */
  readonly headers: readonly string[];
  readonly body: string;
}

answerQuestions<BareQuestion, string>(async ({ headers, body }) => {
  const bytes = Buffer.from(body);
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      Buffer.concat(chunks);
      response.writeHead(200, [...headers]);
      response.end(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`;
});
