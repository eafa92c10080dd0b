// Pictures of the demo products: flat shapes on a market stall, made here so that none is fetched.

/** What it shows, with its main and its second colour. */
export type Picture = readonly [shape: keyof typeof SHAPES, main: string, accent: string];

const INK = "#3d2c1e";
const LIGHT = "#ffffff";

const SHAPES = {
  fruit: (main: string, accent: string) => `
    ${piece(168, 296, main)}${piece(312, 296, main)}${piece(240, 232, main)}
    <path d="M240 178c4-22 14-34 30-42" fill="none" stroke="${INK}" stroke-width="7"
      stroke-linecap="round"/>
    <path d="M252 160c22-26 52-26 70-12-18 22-48 30-70 12z" fill="${accent}"/>`,

  jar: (main: string, accent: string) => `
    <rect x="156" y="168" width="168" height="202" rx="30" fill="${main}"/>
    <rect x="156" y="168" width="168" height="40" rx="20" fill="${LIGHT}" opacity=".35"/>
    <path d="M148 160c0-34 184-34 184 0l10 26c-36-10-168-10-204 0z" fill="${accent}"/>
    <rect x="160" y="158" width="160" height="10" fill="${INK}" opacity=".25"/>
    <rect x="180" y="240" width="120" height="80" rx="8" fill="#fbf3e2"/>
    <path d="M200 266h80M212 290h56" stroke="${accent}" stroke-width="7" stroke-linecap="round"/>
    <rect x="170" y="214" width="12" height="120" rx="6" fill="${LIGHT}" opacity=".45"/>`,

  bottle: (main: string, accent: string) => `
    <path d="M214 128h52v54c0 22 34 32 34 72v92c0 14-10 24-24 24h-72c-14 0-24-10-24-24v-92
      c0-40 34-50 34-72z" fill="${main}"/>
    <rect x="208" y="106" width="64" height="30" rx="7" fill="${accent}"/>
    <rect x="180" y="258" width="120" height="74" fill="#fbf3e2"/>
    <circle cx="240" cy="295" r="21" fill="${accent}"/>
    <rect x="192" y="226" width="10" height="128" rx="5" fill="${LIGHT}" opacity=".45"/>`,

  wheel: (main: string, accent: string) => `
    <path d="M110 262v62c0 26 58 48 130 48s130-22 130-48v-62z" fill="${accent}"/>
    <ellipse cx="240" cy="262" rx="130" ry="50" fill="${main}"/>
    <path d="M240 262l112-26c12 8 18 17 18 26v62c0 12-12 23-32 32z" fill="${main}"/>
    <path d="M240 262l98 94v-4" fill="none" stroke="${INK}" stroke-opacity=".25" stroke-width="4"/>
    <circle cx="318" cy="286" r="9" fill="${accent}"/><circle cx="346" cy="312" r="7"
      fill="${accent}"/><circle cx="342" cy="268" r="6" fill="${accent}"/>
    <ellipse cx="190" cy="252" rx="46" ry="12" fill="${LIGHT}" opacity=".35"/>`,

  loaf: (main: string, accent: string) => `
    <path d="M92 318c0-74 62-118 148-118s148 44 148 118c0 34-22 54-54 54H146c-32 0-54-20-54-54z"
      fill="${main}"/>
    <path d="M160 232c20 20 26 44 22 72M232 220c18 22 22 48 16 78M304 230c10 20 12 40 6 64"
      fill="none" stroke="${accent}" stroke-width="15" stroke-linecap="round"/>
    <path d="M118 300c6-32 22-52 44-66" fill="none" stroke="${LIGHT}" stroke-opacity=".3"
      stroke-width="9" stroke-linecap="round"/>`,

  roll: (main: string, accent: string) => `
    <rect x="104" y="222" width="272" height="150" rx="72" fill="${main}"/>
    <path d="M176 224l-26 146M234 222l-26 150M292 222l-26 150" stroke="${accent}"
      stroke-width="9" stroke-opacity=".55"/>
    <ellipse cx="322" cy="297" rx="54" ry="75" fill="#f3deb4"/>
    <path d="M322 297c0-14 20-12 20 6s-26 28-40 10-2-50 22-50 42 28 38 58" fill="none"
      stroke="${accent}" stroke-width="9" stroke-linecap="round"/>`,

  heart: (main: string, accent: string) => `
    <path d="M240 372C120 296 104 246 112 210c12-52 92-62 128-6 36-56 116-46 128 6
      8 36-8 86-128 162z" fill="${main}"/>
    <path d="M240 340C150 282 136 246 142 220c10-38 68-40 98 12 30-52 88-50 98-12
      6 26-8 62-98 120z" fill="none" stroke="${accent}" stroke-width="8"
      stroke-dasharray="3 15" stroke-linecap="round"/>
    <path d="${petals(240, 262, 36)}" fill="${accent}"/>`,

  plate: (main: string, accent: string) => `
    <circle cx="240" cy="262" r="122" fill="${accent}"/>
    <circle cx="240" cy="262" r="108" fill="${main}"/>
    <circle cx="240" cy="262" r="88" fill="none" stroke="#b5562f" stroke-width="8"
      stroke-dasharray="4 18" stroke-linecap="round"/>
    <path d="${petals(240, 262, 50)}" fill="${accent}"/>
    <circle cx="240" cy="262" r="17" fill="#e3b23c"/>`,

  bowl: (main: string, accent: string) => `
    <path d="M104 236h272c0 84-56 136-136 136S104 320 104 236z" fill="${main}"/>
    <ellipse cx="240" cy="236" rx="136" ry="30" fill="${accent}"/>
    <ellipse cx="240" cy="240" rx="112" ry="20" fill="${INK}" opacity=".2"/>
    <path d="M128 296c20-20 36-20 56 0s36 20 56 0 36-20 56 0 36 20 56 0" fill="none"
      stroke="${accent}" stroke-width="9" stroke-linecap="round"/>`,

  jug: (main: string, accent: string) => `
    <path d="M312 222c62-14 72 88-6 98" fill="none" stroke="${main}" stroke-width="24"/>
    <path d="M184 140h112l-10 44c34 24 48 58 48 94 0 56-36 94-94 94s-94-38-94-94c0-36 14-70 48-94z"
      fill="${main}"/>
    <ellipse cx="240" cy="140" rx="56" ry="15" fill="${accent}"/>
    <path d="M150 262c30 16 150 16 180 0M156 300c30 14 138 14 168 0" fill="none"
      stroke="${accent}" stroke-width="8" stroke-linecap="round"/>
    <path d="M176 230c6-16 14-26 24-34" stroke="${LIGHT}" stroke-opacity=".4" stroke-width="9"
      fill="none" stroke-linecap="round"/>`,

  spoon: (main: string, accent: string) => `
    <g transform="rotate(32 240 250)">
      <rect x="229" y="214" width="22" height="176" rx="11" fill="${main}"/>
      <ellipse cx="240" cy="166" rx="52" ry="70" fill="${main}"/>
      <ellipse cx="240" cy="160" rx="36" ry="50" fill="${accent}" opacity=".6"/>
      <path d="M240 300v60" stroke="${accent}" stroke-width="6" stroke-dasharray="2 14"
        stroke-linecap="round"/>
    </g>`,

  basket: (main: string, accent: string) => `
    <path d="M140 246c0-136 200-136 200 0" fill="none" stroke="${main}" stroke-width="18"/>
    <path d="M112 250c30-34 226-34 256 0z" fill="${accent}"/>
    <path d="M104 244h272l-30 114c-3 10-10 14-20 14H154c-10 0-17-4-20-14z" fill="${main}"/>
    <path d="M112 280h256M122 312h236M130 344h220" stroke="${INK}" stroke-opacity=".28"
      stroke-width="8" stroke-dasharray="26 14"/>`,

  sack: (main: string, accent: string) => `
    <path d="M176 190c-40 40-64 92-64 130 0 36 30 52 128 52s128-16 128-52c0-38-24-90-64-130z"
      fill="${main}"/>
    <path d="M164 150c30 16 122 16 152 0l-14 42H178z" fill="${main}"/>
    <path d="M176 192h128" stroke="${accent}" stroke-width="15" stroke-linecap="round"/>
    <circle cx="240" cy="286" r="42" fill="#fbf3e2"/>
    <path d="M240 312c-26-20-26-44 0-56 26 12 26 36 0 56z" fill="${accent}"/>`,

  cloth: (main: string, accent: string) => `
    <path d="M112 172c0-16 12-24 28-24h200c16 0 28 8 28 24v200H112z" fill="${main}"/>
    <path d="M112 210h256M112 330h256" stroke="${accent}" stroke-width="15"/>
    <path d="${[152, 196, 240, 284, 328].map((x) => diamond(x, 270)).join("")}"
      fill="${accent}"/>
    <path d="M120 372v16m20-16v16m20-16v16m20-16v16m20-16v16m20-16v16m20-16v16m20-16v16m20-16v16
      m20-16v16m20-16v16m20-16v16m20-16v16" stroke="${accent}" stroke-width="6"/>`,

  socks: (main: string, accent: string) => `
    ${sock(0, { main, accent })}${sock(104, { main, accent })}`,
};

function piece(x: number, y: number, main: string): string {
  return `<circle cx="${x}" cy="${y}" r="74" fill="${main}"/>
    <circle cx="${x}" cy="${y}" r="74" fill="none" stroke="${INK}" stroke-opacity=".14"
      stroke-width="4"/>
    <ellipse cx="${x - 24}" cy="${y - 28}" rx="20" ry="13" fill="${LIGHT}" opacity=".4"/>`;
}

function petals(x: number, y: number, size: number): string {
  return [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ]
    .map(([dx = 0, dy = 0]) => {
      const side = `${x + (dx - dy) * size},${y + (dy + dx) * size}`;
      const other = `${x + (dx + dy) * size},${y + (dy - dx) * size}`;
      return `M${x},${y}C${side} ${other} ${x},${y}z`;
    })
    .join("");
}

function diamond(x: number, y: number): string {
  return `M${x} ${y - 34}l20 34-20 34-20-34z`;
}

function sock(shift: number, { main, accent }: { main: string; accent: string }): string {
  return `<g transform="translate(${shift} ${shift / 8})">
      <path d="M130 140h86v128c0 14 8 22 20 30 24 16 10 60-26 60h-50c-44 0-66-30-54-70l24-60z"
        fill="${main}"/>
      <path d="M126 140h94v34h-94z" fill="${accent}"/>
      <path d="M130 204h86M130 230h86" stroke="${accent}" stroke-width="8"/>
      <path d="M104 312c6 28 26 46 56 46h10c-10-34-34-50-66-46z" fill="${accent}"/>
    </g>`;
}

/** A whole SVG file. */
export function draw([shape, main, accent]: Picture): string {
  const scallops = Array.from({ length: 8 }, (_, index) => {
    const fill = index % 2 === 0 ? "#c65a3a" : "#fbf3e2";
    return `<path d="M${index * 60} 0h60v44a30 26 0 0 1-60 0z" fill="${fill}"/>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 480" width="480" height="480">
    <rect width="480" height="480" fill="#f6e3c3"/>
    <circle cx="240" cy="250" r="172" fill="#fbeed6"/>
    <rect y="372" width="480" height="108" fill="#c99a66"/>
    <rect y="372" width="480" height="10" fill="#b5834f"/>
    <path d="M0 416h480M0 452h480" stroke="#b5834f" stroke-width="3"/>
    <ellipse cx="240" cy="384" rx="150" ry="15" fill="${INK}" opacity=".18"/>
    ${SHAPES[shape](main, accent)}
    <g>${scallops.join("")}</g>
    <rect width="480" height="8" fill="${INK}" opacity=".12"/>
</svg>
`;
}
