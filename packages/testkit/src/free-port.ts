/** A port for a server that cannot be asked for any free one. */
import { createServer } from "node:net";

/** One that nobody listens on now; somebody may before it is used. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
