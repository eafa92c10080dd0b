/**
 * Secrets as Secrets of a Kubernetes cluster, in the namespace of the pod that this runs in, through
 * the API server and with the rights of the pod's service account.
 */
import { readFile } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import type { SecretStore, Texts } from "./secrets.js";

const TIMEOUT_MS = 10_000;
/** A Secret that is neither there nor can be made is being deleted and made by others. */
const TRIES_MAX = 5;

export interface KubernetesOptions {
  readonly host: string;
  readonly port: number;
  /** Where the pod has `token`, `ca.crt` and `namespace`. */
  readonly accountDir: string;
}

interface Answer {
  readonly status: number;
  readonly body: { message?: string; data?: Record<string, string> };
}

interface Account {
  readonly token: string;
  readonly ca: string;
  readonly namespace: string;
}

export class Kubernetes implements SecretStore {
  readonly #options: KubernetesOptions;
  readonly #account: Account;

  private constructor(options: KubernetesOptions, account: Account) {
    this.#options = options;
    this.#account = account;
  }

  /** Throws when this is not a pod with a service account. */
  static async open(options: KubernetesOptions): Promise<Kubernetes> {
    const read = (file: string) =>
      readFile(join(options.accountDir, file), "utf8").catch((error: NodeJS.ErrnoException) => {
        throw new Error(
          `${join(options.accountDir, file)} cannot be read (${error.code}): ` +
            "the pod needs a service account, and automountServiceAccountToken.",
        );
      });
    const [token, ca, namespace] = await Promise.all(["token", "ca.crt", "namespace"].map(read));
    return new Kubernetes(options, {
      token: (token as string).trim(),
      ca: ca as string,
      namespace: (namespace as string).trim(),
    });
  }

  async keep(name: string, make: () => Texts | Promise<Texts>): Promise<Texts> {
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const found = await this.#find(name);
      if (found) return found;
      const texts = await make();
      if (await this.#create(name, texts)) return texts;
    }
    throw new Error(`The Secret ${name} was made and deleted by others ${TRIES_MAX} times.`);
  }

  async #find(name: string): Promise<Texts | undefined> {
    const answer = await this.#call("GET", `/${name}`);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw this.#refusal("get", name, answer);
    const data = Object.entries(answer.body.data ?? {});
    return Object.fromEntries(
      data.map(([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")]),
    );
  }

  /** False when another was first. */
  async #create(name: string, texts: Texts): Promise<boolean> {
    const answer = await this.#call("POST", "", {
      apiVersion: "v1",
      kind: "Secret",
      metadata: {
        name,
        labels: {
          "app.kubernetes.io/part-of": "piata",
          "app.kubernetes.io/managed-by": "piata-setup",
        },
      },
      type: name.startsWith("tls-") ? "kubernetes.io/tls" : "Opaque",
      stringData: texts,
    });
    if (answer.status === 409) return false;
    if (answer.status !== 201) throw this.#refusal("create", name, answer);
    console.log(`${name}: made`);
    return true;
  }

  #refusal(verb: string, name: string, { status, body }: Answer): Error {
    const { namespace } = this.#account;
    const said = body.message ?? "no message";
    if (status === 401) return new Error(`The API server does not know our token: ${said}`);
    if (status !== 403) return new Error(`${verb} Secret ${name}: HTTP ${status}: ${said}`);
    return new Error(
      `The service account may not ${verb} Secrets in the namespace ${namespace}. It needs a Role ` +
        `with the verbs get and create on secrets, and a RoleBinding. The API server said: ${said}`,
    );
  }

  #call(method: string, path: string, object?: object): Promise<Answer> {
    const { host, port } = this.#options;
    const { token, ca, namespace } = this.#account;
    const body = object && JSON.stringify(object);
    return new Promise((resolve, reject) => {
      const fail = (error: Error) =>
        reject(new Error(`The API server at ${host}:${port} does not answer: ${error.message}`));
      request(
        {
          host,
          port,
          ca,
          method,
          path: `/api/v1/namespaces/${namespace}/secrets${path}`,
          headers: {
            authorization: `Bearer ${token}`,
            accept: "application/json",
            ...(body && { "content-type": "application/json" }),
          },
          signal: AbortSignal.timeout(TIMEOUT_MS),
        },
        (response) => {
          let text = "";
          response.setEncoding("utf8");
          response.on("data", (part: string) => {
            text += part;
          });
          response.once("error", fail);
          response.once("end", () =>
            resolve({ status: response.statusCode ?? 0, body: parsed(text) }),
          );
        },
      )
        .once("error", fail)
        .end(body);
    });
  }
}

/** What stands in between may answer in its own words. */
function parsed(text: string): Answer["body"] {
  try {
    return JSON.parse(text) as Answer["body"];
  } catch {
    return { message: text.slice(0, 200) };
  }
}
