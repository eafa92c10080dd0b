// Checks of what programs are told, against the tables that they read it with.
import type { Container, EnvVar } from "kubernetes-types/core/v1.js";
import type { Check } from "./checks-objects.ts";
import type { Cluster, Workload } from "./cluster.ts";
import { providedSecrets, providedServices, secretValue } from "./provided.ts";

const POD_IP = "10.1.2.3";
const only = (...faults: (string | false | undefined)[]): string[] =>
  faults.filter((fault) => typeof fault === "string");

/** The variables as the container gets them. Later ones may use earlier ones, as $(NAME). */
export function environmentOf(cluster: Cluster, container: Container): Record<string, string> {
  const env: Record<string, string> = {};
  for (const { configMapRef } of container.envFrom ?? []) {
    Object.assign(env, cluster.find("ConfigMap", configMapRef?.name)?.data);
  }
  for (const one of container.env ?? []) env[one.name] = textOf(cluster, one, env);
  return env;
}

function textOf(
  cluster: Cluster,
  { value, valueFrom }: EnvVar,
  env: Readonly<Record<string, string>>,
): string {
  const { secretKeyRef, configMapKeyRef, fieldRef } = valueFrom ?? {};
  if (secretKeyRef) return secretValue(cluster, secretKeyRef.name ?? "", secretKeyRef.key);
  if (configMapKeyRef) {
    return cluster.find("ConfigMap", configMapKeyRef.name)?.data?.[configMapKeyRef.key] ?? "";
  }
  if (fieldRef) return fieldRef.fieldPath === "status.podIP" ? POD_IP : "";
  return String(value ?? "").replaceAll(/\$\((\w+)\)/g, (whole, name) => env[name] ?? whole);
}

/** The containers of our own programs, with their names. */
const ours = (cluster: Cluster): { workload: Workload; container: Container }[] =>
  cluster.programs.flatMap((workload) => {
    const [container] = workload.containers;
    return container ? [{ workload, container }] : [];
  });

export const envChecks: Record<string, Check> = {
  "what an environment refers to is there": (cluster) =>
    cluster.workloads.flatMap(({ name, all }) =>
      all.flatMap(({ env = [], envFrom = [] }) => [
        ...envFrom
          .filter(({ configMapRef }) => !cluster.find("ConfigMap", configMapRef?.name))
          .map(({ configMapRef }) => `${name}: no ConfigMap ${configMapRef?.name}`),
        ...env.flatMap(({ name: variable, value, valueFrom }, at) => {
          const { secretKeyRef: secret, configMapKeyRef: map } = valueFrom ?? {};
          const keys = secret && providedSecrets(cluster).get(secret.name ?? "");
          const data = map && cluster.find("ConfigMap", map.name)?.data;
          const used = [...(value ?? "").matchAll(/\$\((\w+)\)/g)].map(([, used]) => used);
          const before = env.slice(0, at).map((one) => one.name);
          return only(
            env.findIndex((one) => one.name === variable) !== at && "stands there twice",
            secret && !keys?.has(secret.key) && `no Secret ${secret.name} with ${secret.key}`,
            secret?.optional === true && "may be missing",
            map && data?.[map.key] === undefined && `no ConfigMap ${map.name} with ${map.key}`,
            used.some((one) => !before.includes(one as string)) && `uses ${used} before it is set`,
            value === undefined && valueFrom === undefined && "is nothing",
          ).map((fault) => `${name}: ${variable} ${fault}`);
        }),
      ]),
    ),

  "programs are told what they can read, under names that they know": (cluster, { programs }) =>
    ours(cluster).flatMap(({ workload: { name }, container }) => {
      const facts = programs.get(name);
      const env = environmentOf(cluster, container);
      const uses = JSON.stringify(container.env);
      const unknown = Object.keys(env).filter(
        (variable) => !facts?.settings.has(variable) && !uses.includes(`$(${variable})`),
      );
      return [
        ...unknown.map((variable) => `${name} has no setting ${variable}`),
        ...(facts?.faultsOf(env).map((fault) => `${name}: ${fault}`) ?? []),
      ];
    }),

  "the setup program knows its variables": (cluster, { setupNames }) =>
    cluster
      .of("Job")
      .flatMap(({ metadata: { name }, spec }) =>
        (spec?.template.spec?.containers ?? []).flatMap(({ env = [] }) =>
          env.filter((one) => !setupNames.has(one.name)).map((one) => `${name}: ${one.name}`),
        ),
      ),

  "programs listen where others can reach them, on the ports of their containers": (cluster) =>
    ours(cluster).flatMap(({ workload: { name }, container }) => {
      const env = environmentOf(cluster, container);
      const prefix = name.toUpperCase();
      const port = (named: string) =>
        String(container.ports?.find((one) => one.name === named)?.containerPort);
      const main = name === "gateway" ? "graphql" : "grpc";
      return only(
        env[`${prefix}_HOST`] !== "0.0.0.0" && "listens to itself only",
        env[`${prefix}_PORT`] !== port(main) && `its port is not ${port(main)}`,
        env[`${prefix}_HTTP_PORT`] !== port("http") && `its HTTP port is not ${port("http")}`,
        env[`${prefix}_ADVERTISED_HOST`] !== POD_IP && "does not say where its pod is",
      ).map((fault) => `${name} ${fault}`);
    }),

  "programs call the services that they mean, by names and ports that are there": (
    cluster,
    { programs },
  ) => {
    const services = providedServices(cluster);
    return ours(cluster).flatMap(({ workload: { name }, container }) => {
      const env = environmentOf(cluster, container);
      const targets = (programs.get(name)?.calls ?? []).flatMap((service) => {
        const target = env[`${service.toUpperCase()}_TARGET`] ?? "";
        const [, host = "", port] = /^dns:\/\/\/([\w-]+):(\d+)$/.exec(target) ?? [];
        return only(
          host !== service && `calls ${service} at ${target || "no place"}`,
          host === service && !services.get(host)?.has(Number(port)) && `no Service at ${target}`,
        );
      });
      const [host = "", port] = (env.DISCOVERY_ADDRESSES ?? "").split(":");
      const listed = services.get(host)?.has(Number(port)) === true && host === "discovery";
      return [...targets, ...only(!listed && "is not listed by discovery")].map(
        (fault) => `${name} ${fault}`,
      );
    });
  },

  "databases are at Services that are there": (cluster) => {
    const services = providedServices(cluster);
    return cluster.workloads.flatMap(({ name, all }) =>
      all.flatMap((container) => {
        const env = environmentOf(cluster, container);
        return Object.entries(env)
          .filter(([variable]) => /_(DATABASE|ADMIN)_URL$/.test(variable))
          .flatMap(([variable, url]) => {
            const [, place = ""] = /@([^/]+)\//.exec(url) ?? [];
            const [host = "", port] = place.split(":");
            const known = [...services].some(
              ([service, ports]) => host.split(".").includes(service) && ports.has(Number(port)),
            );
            return only(!known && `${name}: ${variable} is at ${place || "no place"}`);
          });
      }),
    );
  },

  "a program gets the database of its own, as its owner": (cluster) =>
    cluster.programs.flatMap(({ name, all }) =>
      all.flatMap((container) => {
        const env = environmentOf(cluster, container);
        return Object.entries(env)
          .filter(([variable]) => variable.endsWith("_DATABASE_URL"))
          .flatMap(([variable, url]) => {
            const [, user, path] = /:\/\/(\w+):[^@]+@[^/]+\/(\w+)/.exec(url) ?? [];
            return only(
              variable !== `${name.toUpperCase()}_DATABASE_URL` && `${name} is told ${variable}`,
              user !== name && `${name} connects as ${user}`,
              path !== (name === "access" ? "user" : name) && `${name} opens ${path}`,
            );
          });
      }),
    ),

  "files that programs are told of are in their volumes": (cluster) =>
    ours(cluster).flatMap(({ workload: { name, pod }, container }) => {
      const env = environmentOf(cluster, container);
      const files = Object.entries(env).filter(([variable]) => /_(FILE|DIR)$/.test(variable));
      return files.flatMap(([variable, path]) => {
        const mount = (container.volumeMounts ?? []).find(
          ({ mountPath }) => path === mountPath || path.startsWith(`${mountPath}/`),
        );
        const volume = pod.volumes?.find((one) => one.name === mount?.name);
        const keys = providedSecrets(cluster).get(volume?.secret?.secretName ?? "");
        const wanted = variable.endsWith("_TLS_DIR")
          ? ["ca.crt", "tls.crt", "tls.key"]
          : [path.slice((mount?.mountPath.length ?? 0) + 1)];
        const missing = wanted.filter((key) => !keys?.has(key));
        return only(
          !mount && `${name}: ${variable} is in no volume`,
          mount && missing.length > 0 && `${name}: ${variable} has no ${missing}`,
          mount?.readOnly !== true && `${name}: ${variable} may be written`,
        );
      });
    }),

  "a program shows its own certificate, and all of them show one": (cluster) =>
    ours(cluster).flatMap(({ workload: { name, pod }, container }) => {
      const secret = pod.volumes?.find((volume) => volume.name === "tls")?.secret?.secretName;
      const dir = environmentOf(cluster, container)[`${name.toUpperCase()}_TLS_DIR`];
      return only(
        secret !== `tls-${name}` && `${name} shows ${secret}`,
        dir === undefined && `${name} speaks without TLS`,
      );
    }),

  "migrations run first, where there are some, on the database of the program": (
    cluster,
    { programs },
  ) =>
    cluster.programs.flatMap(({ name, pod, containers }) => {
      const [migrate, ...more] = pod.initContainers ?? [];
      const variable = `${name.toUpperCase()}_DATABASE_URL`;
      const url = containers[0] ? environmentOf(cluster, containers[0])[variable] : undefined;
      const has = programs.get(name)?.hasMigrations === true && /^postgres/.test(url ?? "");
      if (!has) return only(migrate !== undefined && `${name} has nothing to migrate`);
      if (!migrate || more.length > 0) return [`${name} does not migrate`];
      const known = Object.keys(environmentOf(cluster, migrate));
      return only(
        migrate.image !== containers[0]?.image && `${name} migrates by another image`,
        `${migrate.args}` !== "dist/migrate.js" && `${name} runs ${migrate.args}`,
        `${known}` !== variable && `${name} migrates with ${known}`,
      );
    }),

  "the Jobs run what the setup program can": (cluster) => {
    const commands = cluster.of("Job").map(({ spec }) => {
      const [container] = spec?.template.spec?.containers ?? [];
      return `${container?.args?.join(" ")}`;
    });
    const wanted = ["dist/main.js kubernetes"];
    if (cluster.find("StatefulSet", "postgres")) wanted.push("dist/main.js databases");
    return wanted.filter((one) => !commands.includes(one)).map((one) => `nobody runs ${one}`);
  },

  "a gateway that believes a proxy is open to that proxy only, and its hosts are the Ingress'": (
    cluster,
  ) => {
    const container = cluster.container("gateway");
    const env = container ? environmentOf(cluster, container) : {};
    const [ingress] = cluster.of("Ingress");
    const host = ingress?.spec?.rules?.[0]?.host ?? "";
    const behind = (env.GATEWAY_TRUSTED_PROXIES ?? "") !== "";
    return only(
      behind && !ingress && "a proxy is believed, and there is none",
      ingress && !behind && "clients have the proxy's address",
      ingress && env.GATEWAY_COOKIE_SECURE !== "on" && "cookies may go without TLS",
      ingress && !env.GATEWAY_HOSTS?.split(",").includes(host) && `${host} would be refused`,
      !behind && env.GATEWAY_ADDRESS_REQUESTS_PER_MINUTE !== "0" && "all clients are one address",
      behind && env.GATEWAY_ADDRESS_REQUESTS_PER_MINUTE === "0" && "addresses have no limit",
    );
  },
};
