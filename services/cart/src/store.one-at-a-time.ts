/** Makes FerretDB's commands atomic for a test: a proxy that hands it one at a time. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface SerialProxy {
  /** The port of this machine to connect to instead. */
  port: number;
  close(): Promise<void>;
}

/**
 * FerretDB reads, decides and writes without a transaction around it, so that two commands at once
 * lose updates. Through this proxy it has one command at a time, whoever sends them; what the
 * callers do between their commands still meets.
 */
export async function oneAtATime(
  target: { host: string; port: number },
  port = 0,
): Promise<SerialProxy> {
  let last: Promise<unknown> = Promise.resolve();
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target);
    const answers = messages(upstream);
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        open.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    const ask = async (message: Buffer) => {
      upstream.write(message);
      const { value } = await answers.next();
      if (value) client.write(value);
    };
    const serve = async () => {
      for await (const message of messages(client)) {
        last = last.then(() => ask(message)).catch(() => undefined);
      }
    };
    serve().catch(() => client.destroy());
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** MongoDB's wire messages: each begins with its length, an int32. */
async function* messages(socket: Socket): AsyncGenerator<Buffer, undefined> {
  let rest = Buffer.alloc(0);
  for await (const chunk of socket) {
    rest = Buffer.concat([rest, chunk as Buffer]);
    while (rest.length >= 4 && rest.length >= rest.readInt32LE(0)) {
      const length = rest.readInt32LE(0);
      yield rest.subarray(0, length);
      rest = rest.subarray(length);
    }
  }
}
