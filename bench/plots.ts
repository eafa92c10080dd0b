// Plots as SVG. Their colours are variables of the page, so that it can be light or dark.
import { escaped } from "./html.ts";
import { shown } from "./report.ts";

const WIDTH = 960;
const ROW = 22;
const BAR = 14;
const LABEL_WIDTH = 360;
const NOTE_WIDTH = 150;
const COLORS = ["--a", "--c", "--d", "--e", "--f", "--g", "--h", "--i", "--b"];

const colorOf = (index: number): string => `var(${COLORS[index % COLORS.length]})`;

const svg = (height: number, what: string, parts: readonly string[]): string =>
  `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${what}">${parts.join("")}</svg>`;

const words = (x: number, y: number, text: string, more = ""): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${escaped(text)}</text>`;

const box = (x: number, y: number, width: number, color: string, title: string): string =>
  `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${Math.max(1, width).toFixed(1)}" ` +
  `height="${BAR}" fill="${color}"><title>${escaped(title)}</title></rect>`;

export interface Bar {
  readonly label: string;
  /** Where it begins; on a logarithmic scale there is no zero. */
  readonly from?: number;
  readonly value: number;
  readonly note: string;
  readonly color: string;
}

/** Bars on a logarithmic scale. */
export function barPlot(what: string, bars: readonly Bar[]): string {
  const ends = bars.flatMap(({ from, value }) => [from ?? value, value]);
  const values = ends.filter((value) => value > 0);
  const low = 10 ** Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(...values, low * 10);
  const room = WIDTH - LABEL_WIDTH - NOTE_WIDTH;
  const at = (value: number) =>
    value > low ? (room * Math.log(value / low)) / Math.log(high / low) : 0;
  const rows = bars.flatMap(({ label, from = low, value, note, color }, index) => {
    const y = index * ROW;
    const start = LABEL_WIDTH + at(from);
    return [
      words(LABEL_WIDTH - 8, y + 12, label, 'text-anchor="end"'),
      box(start, y + 1, at(value) - at(from), `var(${color})`, note),
      words(LABEL_WIDTH + at(value) + 8, y + 12, note, 'class="soft"'),
    ];
  });
  return svg(bars.length * ROW, what, rows);
}

export interface Stack {
  readonly label: string;
  readonly parts: ReadonlyMap<string, number>;
}

/** In the order in which they are drawn. */
const PROGRAMS = [
  "gateway",
  "catalog",
  "cart",
  "order",
  "payment",
  "access",
  "discovery",
  "launcher",
];
/** These stand where the programs do. */
const ONLY = new Set(["node:http", "all programs"]);
const POSTGRES = "postgres ";
/** PostgreSQL's work for a program has the program's colour, but paler. */
const PALE = 0.45;
const STACK_LABEL_WIDTH = 150;
const PART_MIN = 0.002;

function paintOf(name: string): string {
  const program = name.startsWith(POSTGRES) ? name.slice(POSTGRES.length) : name;
  const at = ONLY.has(name) ? 0 : PROGRAMS.indexOf(program);
  const color = colorOf(at === -1 ? COLORS.length - 1 : at);
  return `${color}" fill-opacity="${name === program ? 1 : PALE}`;
}

const rankOf = (name: string): number => {
  const at = PROGRAMS.indexOf(name.replace(POSTGRES, ""));
  return (at === -1 ? PROGRAMS.length : at) * 2 + (name.startsWith(POSTGRES) ? 1 : 0);
};

/** Each row as shares of its whole, which is written behind it. */
export function stackPlot(rows: readonly Stack[]): string {
  const wholeOf = ({ parts }: Stack) => [...parts.values()].reduce((sum, part) => sum + part, 0);
  const shareOf = (row: Stack, name: string) => (row.parts.get(name) ?? 0) / wholeOf(row);
  const names = [...new Set(rows.flatMap(({ parts }) => [...parts.keys()]))]
    .filter((name) => rows.some((row) => shareOf(row, name) >= PART_MIN))
    .sort((one, two) => rankOf(one) - rankOf(two));
  const room = WIDTH - STACK_LABEL_WIDTH - 80;
  const drawn = rows.flatMap((row, index) => {
    const y = index * ROW;
    let x = STACK_LABEL_WIDTH;
    const boxes = names.map((name) => {
      const width = shareOf(row, name) * room;
      const title = `${name}: ${shown(row.parts.get(name) ?? 0)} µs`;
      const drawing = width < 0.5 ? "" : box(x, y + 1, width, paintOf(name), title);
      x += width;
      return drawing;
    });
    const whole = words(STACK_LABEL_WIDTH + room + 8, y + 12, shown(wholeOf(row)), 'class="soft"');
    return [words(STACK_LABEL_WIDTH - 8, y + 12, row.label, 'text-anchor="end"'), ...boxes, whole];
  });
  const top = rows.length * ROW + 8;
  return svg(top + legendHeight(names), "CPU time", [...drawn, legend(names, top, paintOf)]);
}

const LEGEND_COLUMNS = 5;

const legendHeight = (names: readonly string[]): number =>
  Math.ceil(names.length / LEGEND_COLUMNS) * ROW;

function legend(
  names: readonly string[],
  top: number,
  paint: (name: string, at: number) => string,
): string {
  const width = WIDTH / LEGEND_COLUMNS;
  return names
    .map((name, at) => {
      const x = (at % LEGEND_COLUMNS) * width;
      const y = top + Math.floor(at / LEGEND_COLUMNS) * ROW;
      return box(x, y, BAR, paint(name, at), name) + words(x + BAR + 6, y + 12, name);
    })
    .join("");
}

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const LINES_HEIGHT = 260;
const AXIS = 48;

/** Lines from zero up. */
export function linePlot(series: readonly Series[]): string {
  const points = series.flatMap((one) => one.points);
  const highX = Math.max(...points.map(([x]) => x), 0.1);
  const highY = Math.max(...points.map(([, y]) => y), 1) * 1.1;
  const atX = (x: number) => AXIS + ((WIDTH - AXIS - 10) * x) / highX;
  const atY = (y: number) => LINES_HEIGHT - 20 - ((LINES_HEIGHT - 30) * y) / highY;
  const grid = [0, 0.25, 0.5, 0.75, 1].flatMap((part) => [
    `<line x1="${AXIS}" x2="${WIDTH - 10}" y1="${atY(part * highY)}" y2="${atY(part * highY)}" ` +
      'stroke="var(--line)"/>',
    words(AXIS - 6, atY(part * highY) + 4, shown(part * highY), 'text-anchor="end" class="soft"'),
    words(
      atX(part * highX),
      LINES_HEIGHT - 4,
      shown(part * highX),
      'text-anchor="end" class="soft"',
    ),
  ]);
  const lines = series.map(({ name, points: of }, at) => {
    const path = of.map(([x, y]) => `${atX(x).toFixed(1)},${atY(y).toFixed(1)}`).join(" ");
    return `<polyline points="${path}" fill="none" stroke="${colorOf(at)}" stroke-width="2"><title>${escaped(name)}</title></polyline>`;
  });
  const names = series.map(({ name }) => name);
  const parts = [...grid, ...lines, legend(names, LINES_HEIGHT + 8, (_, at) => colorOf(at))];
  return svg(LINES_HEIGHT + 8 + legendHeight(names), "Memory", parts);
}
