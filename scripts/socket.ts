// The socket of the GraphQL API. The launcher binds it once and never listens on it: every gateway
// does, on the same one, and its queue is the kernel's. While a gateway is replaced, or all of them,
// connections wait in the queue until the next one takes them, where a port of the gateway's own
// would refuse them.
import { lookup } from "node:dns/promises";
import { BoundSocket, createServer } from "node:net";
import { isCode } from "./files.ts";
import { canShareSockets } from "./options.ts";

/**
 * Binds the port, any free one for 0. Undefined where sockets cannot be handed on. Throws a
 * sentence for a person, before anything is started, when the port is not to be had.
 */
export async function bindSocket(host: string, port: number): Promise<BoundSocket | undefined> {
  if (port !== 0) await requireFreePort(host, port);
  if (!canShareSockets()) return undefined;
  const { address } = await lookup(host);
  return new BoundSocket({ host: address, port });
}

async function requireFreePort(host: string, port: number): Promise<void> {
  // On some systems the one address can be bound while the other is taken.
  for (const where of [host, undefined]) {
    const server = createServer();
    try {
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject).listen({ port, host: where, exclusive: true }, resolve);
      });
    } catch (error) {
      if (isCode(error, "EADDRINUSE")) {
        throw new Error(
          `Port ${port} is in use by another program; choose one: npm start -- --port P`,
        );
      }
      if (isCode(error, "EACCES")) {
        throw new Error(`Port ${port} is not for this user; use npm start -- --port P`);
      }
      throw error;
    }
    await new Promise((resolve) => server.close(resolve));
  }
}
