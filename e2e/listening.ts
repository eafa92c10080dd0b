// Where a process listens.
import { readdir, readFile, readlink } from "node:fs/promises";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";

const LISTENING = "0A";
// 127.0.0.1 and ::1, as Linux writes them.
const LOOPBACK = new Set(["0100007F", "00000000000000000000000001000000"]);

export interface Listener {
  port: number;
  isLoopback: boolean;
}

/** The TCP sockets that a process of this Linux listens on. */
export async function listenersOf(pid: number): Promise<Listener[]> {
  const folder = `/proc/${pid}/fd`;
  const links = (await readdir(folder)).map((fd) => readlink(`${folder}/${fd}`).catch(() => ""));
  const inodes = new Set(
    (await Promise.all(links)).map((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1]),
  );
  const tables = await Promise.all(
    ["tcp", "tcp6"].map((name) => readFile(`/proc/${pid}/net/${name}`, "utf8").catch(() => "")),
  );
  return tables
    .flatMap((table) => table.trim().split("\n").slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === LISTENING && inodes.has(inode))
    .map(([, local = ""]) => {
      const [address = "", port = ""] = local.split(":");
      return { port: Number.parseInt(port, 16), isLoopback: LOOPBACK.has(address) };
    });
}

/** The IPv4 addresses by which others reach this machine. */
export const outsideAddresses = (): string[] =>
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, family }) => !internal && family === "IPv4")
    .map(({ address }) => address);

/** Whether somebody listens there. */
export function isOpen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 2_000 });
    const tell = (open: boolean) => {
      socket.destroy();
      resolve(open);
    };
    socket.once("connect", () => tell(true));
    socket.once("timeout", () => tell(false));
    socket.once("error", () => tell(false));
  });
}
