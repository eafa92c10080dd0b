/**
 * The overview as a page for people: it needs no script, loads nothing, and renews itself. What it
 * shows was said by whoever registered, so every word of it is escaped.
 */
import { createHash } from "node:crypto";
import type { Page } from "@piata/kit/http";
import type { InstanceOverview, Overview, ServiceOverview } from "./overview.js";
import { STYLE } from "./style.js";

const REFRESH_SECONDS = 2;
/** Rows of one service; /v1/services has them all. */
const ROWS_MAX = 200;
const STYLE_HASH = createHash("sha256").update(STYLE).digest("base64");

const SECURITY = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};
const NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The overview as JSON. */
export const json = (overview: Overview): Page => ({
  headers: {
    ...SECURITY,
    "content-type": "application/json; charset=utf-8",
    "content-security-policy": NOTHING,
  },
  body: JSON.stringify(overview),
});

/** The overview as HTML. */
export const html = (overview: Overview): Page => ({
  headers: {
    ...SECURITY,
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": `${NOTHING}; style-src 'sha256-${STYLE_HASH}'`,
  },
  body: page(overview),
});

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** A text as the text or the attribute of an element. */
export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");

function page(overview: Overview): string {
  const { discovery, services, events } = overview;
  const instances = services.flatMap((service) => service.instances);
  const unhealthy = instances.filter(({ health }) => health === "UNHEALTHY").length;
  const title = unhealthy > 0 ? `${unhealthy} unhealthy` : `${instances.length} instances`;
  const facts = [
    `version ${escapeHtml(discovery.version)}`,
    `up ${duration(discovery.uptimeSeconds)}`,
    counted(discovery.watchers, "watcher"),
    `lease ${discovery.leaseMs / 1000} s`,
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="${REFRESH_SECONDS}">
<title>${title} – piata discovery</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>piata <span>discovery</span></h1>
<p>${facts.join(" · ")}</p>
</header>
<main>
<dl class="sums">
${sum(services.length, "services")}
${sum(instances.length, "instances")}
${sum(instances.length - unhealthy, "healthy", "good")}
${sum(unhealthy, "unhealthy", unhealthy > 0 ? "bad" : "")}
</dl>
${discovery.settled ? "" : '<p class="notice">Just started: some may not have been heard yet.</p>'}
${services.length > 0 ? table(services) : '<p class="empty">No instance has registered.</p>'}
${events.length > 0 ? lately(overview) : ""}
</main>
<footer>Renews itself every ${REFRESH_SECONDS} s · <a href="/v1/services">JSON</a> ·
<a href="/metrics">metrics</a></footer>
</body>
</html>
`;
}

const sum = (count: number, label: string, tone = ""): string =>
  `<div class="${tone}"><dt>${label}</dt><dd>${count}</dd></div>`;

const table = (services: ServiceOverview[]): string => `<section><div class="wide"><table>
<thead><tr><th>Health</th><th>Address</th><th>Version</th><th class="n">Up</th>
<th class="n">Calls/s</th><th class="n">Active</th><th>Event loop</th><th class="n">CPU</th>
<th class="n">Memory</th><th class="n">Heartbeat</th></tr></thead>
${services.map(group).join("\n")}
</table></div></section>`;

function group({ service, instances }: ServiceOverview): string {
  const listed = instances.filter((instance) => instance.listed).length;
  const tone = listed === 0 ? "bad" : listed < instances.length ? "fair" : "good";
  // Those that need a person's eye come first.
  const rank = ({ health }: InstanceOverview) => (health === "UNHEALTHY" ? 0 : 1);
  const shown = instances.toSorted((one, other) => rank(one) - rank(other)).slice(0, ROWS_MAX);
  const left = instances.length - shown.length;
  const rest = `<tr><td colspan="10">${left} more are in <a href="/v1/services">JSON</a></td></tr>`;
  return `<tbody>
<tr><th colspan="10" scope="rowgroup"><h2>${escapeHtml(service)} \
<span class="${tone}">${listed} of ${instances.length} listed</span></h2></th></tr>
${shown.map(row).join("\n")}${left > 0 ? rest : ""}
</tbody>`;
}

function row(instance: InstanceOverview): string {
  const { id, address, version, uptimeSeconds, lastHeartbeatSecondsAgo, load } = instance;
  return `<tr>
<td>${healthOf(instance)}</td>
<td title="${escapeHtml(`${id}, HTTP at ${instance.httpAddress || "no address"}`)}">\
<code>${escapeHtml(address)}</code></td>
<td>${escapeHtml(version)}</td>
<td class="n">${uptimeSeconds === null ? "–" : duration(uptimeSeconds)}</td>
<td class="n">${load ? decimal(load.callsPerSecond) : "–"}</td>
<td class="n">${load ? load.callsInProgress : "–"}</td>
<td>${load ? meter(load.eventLoopUtilization) : "–"}</td>
<td class="n">${load ? percent(load.cpuCores) : "–"}</td>
<td class="n">${load ? `${Math.round(load.memoryBytes / 2 ** 20)} MiB` : "–"}</td>
<td class="n">${lastHeartbeatSecondsAgo.toFixed(1)} s ago</td>
</tr>`;
}

function healthOf({ health, reason, healthSinceSeconds, listed }: InstanceOverview): string {
  const since = duration(healthSinceSeconds);
  if (health === "HEALTHY") return `<b class="good">healthy</b> <small>for ${since}</small>`;
  if (health === "UNPROBED") return `<b class="fair">not probed</b> <small>for ${since}</small>`;
  const kept = listed ? "; listed all the same, since most of the service is silent" : "";
  const why = `${escapeHtml(reason)} for ${since}${kept}`;
  return `<b class="bad">unhealthy</b> <small>${why}</small>`;
}

function lately({ events }: Overview): string {
  const now = Date.now();
  const lines = events.map(({ at, service, address, what }) => {
    const ago = duration(Math.max(0, (now - at.getTime()) / 1000));
    return `<li><time datetime="${at.toISOString()}">${ago} ago</time> \
<b>${escapeHtml(service)}</b> <code>${escapeHtml(address)}</code> ${escapeHtml(what)}</li>`;
  });
  return `<section><h2>Lately</h2><ol>${lines.join("\n")}</ol></section>`;
}

const meter = (share: number): string =>
  `<meter max="1" high="0.8" low="0.5" optimum="0" value="${Math.min(1, share).toFixed(2)}">\
</meter> ${percent(share)}`;

const percent = (share: number): string => `${Math.round(share * 100)} %`;

const decimal = (value: number): string => value.toFixed(value > 0 && value < 9.95 ? 1 : 0);

const counted = (count: number, noun: string): string =>
  `${count} ${noun}${count === 1 ? "" : "s"}`;

/** A length of time in at most two units: "4 s", "3 min 20 s", "2 d 5 h". */
export function duration(seconds: number): string {
  const whole = Math.floor(seconds);
  const units = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3_600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ] as const;
  const first = units.findIndex(([count]) => count > 0);
  if (first < 0) return "0 s";
  return units
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}
