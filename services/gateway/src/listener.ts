/**
 * The gateway's listening socket and its connections, from the first to the last. No request is lost
 * when it stops: clients of open connections are told to leave by the answer that they get, and a
 * connection is closed only when nothing can be on its way.
 */
import { type AddressInfo, type Socket, Server as TcpServer } from "node:net";
import { ConfigError } from "@piata/kit/config";
import type { Log } from "@piata/kit/log";
import type { ProgramServer } from "@piata/kit/program-server";
import type { FastifyInstance } from "fastify";

/** Connections that may wait for a gateway, as after a restart of all; the kernel may allow fewer. */
const BACKLOG = 4_096;
const SWEEP_MS = 100;

export interface ListenerOptions {
  host: string;
  port: number;
  /** A socket that somebody has bound already, in place of host and port. */
  listenFd?: number | undefined;
  /** How long idle connections stay open once no new ones are taken. */
  idleMs: number;
  log: Log;
}

/** Serves a Fastify application that is not listening by itself. */
export class Listener implements ProgramServer {
  readonly #app: FastifyInstance;
  readonly #options: ListenerOptions;
  readonly #sockets = new Set<Socket>();
  #draining = false;
  #ended: Promise<void> | undefined;

  constructor(app: FastifyInstance, options: ListenerOptions) {
    this.#app = app;
    this.#options = options;
    // Before anybody answers: what is refused unread is an answer, too.
    app.server.prependListener("request", (_request, response) => {
      if (this.#draining) response.setHeader("connection", "close");
    });
    app.server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  get port(): number {
    return (this.#app.server.address() as AddressInfo).port;
  }

  /** Throws when the port is taken, and ConfigError when the descriptor is no bound socket. */
  async open(): Promise<void> {
    const { host, port, listenFd: fd } = this.#options;
    const { server } = this.#app;
    await this.#app.ready();
    try {
      await new Promise<void>((resolve, reject) => {
        const where = fd === undefined ? { host, port } : { fd };
        server.once("error", reject).listen({ ...where, backlog: BACKLOG }, () => {
          server.off("error", reject);
          resolve();
        });
      });
    } catch (error) {
      if (fd === undefined) throw error;
      throw new ConfigError(`GATEWAY_LISTEN_FD: ${fd} is not a bound TCP socket`);
    }
  }

  /**
   * From now on each answer is the last of its connection. A socket that somebody else holds open is
   * left to its other listeners at once: connections wait in its queue. One's own goes on, because
   * closing it refuses connections, and whoever sends them here may not have heard yet.
   */
  drain(): void {
    this.#draining = true;
    if (this.#options.listenFd !== undefined) void this.#stopAccepting();
  }

  /** Resolves when the last connection has ended; cuts off what is left after `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    this.#draining = true;
    const ended = this.#stopAccepting();
    const idleEndMs = performance.now() + this.#options.idleMs;
    const sweep = setInterval(() => {
      if (performance.now() >= idleEndMs) this.#closeIdle();
    }, SWEEP_MS);
    const cutOff = setTimeout(() => {
      this.#options.log.warn({ connections: this.#sockets.size }, "cut off");
      this.#app.server.closeAllConnections();
    }, timeoutMs);
    await ended;
    clearInterval(sweep);
    clearTimeout(cutOff);
    await this.#app.close();
  }

  // http.Server's own close would cut idle connections, on which a request may be under way.
  #stopAccepting(): Promise<void> {
    this.#ended ??= new Promise((resolve) => {
      TcpServer.prototype.close.call(this.#app.server, () => resolve());
    });
    return this.#ended;
  }

  #closeIdle(): void {
    this.#app.server.closeIdleConnections();
    // To Node a connection that has never sent anything is not idle but about to send.
    for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
  }
}
