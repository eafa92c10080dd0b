// Kubernetes' own code, as a program: manifest-check. `go build .` in its folder takes some minutes, so
// that it is used where it is on the PATH.
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { didNotRun } from "@piata/testkit/did-not-run";

/** What it says last, after the faults, if there are any; undefined where it is not on the PATH. */
export async function kubernetesSays(text: string): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "piata-manifests-"));
  try {
    const file = join(folder, "all.yaml");
    await writeFile(file, text);
    return await new Promise((resolve, reject) => {
      execFile("manifest-check", [file], (error, stdout, stderr) => {
        // 1 is its way of saying that there are faults.
        if (!error || error.code === 1) resolve(stdout.replaceAll(`${file}: `, "").trim());
        else if (error.code === ("ENOENT" as unknown)) {
          didNotRun("Kubernetes' own validation of the manifests", "manifest-check is not there");
          resolve(undefined);
        } else reject(new Error(stderr || error.message));
      });
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
