/** How the page looks, on light and on dark screens. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --line: #e4e6ea;
  --paper: #f6f7f9; --card: #fff; --good: #18794e; --fair: #946800; --bad: #ce2c31;
  --good-wash: #e6f6ec; --fair-wash: #fff7c2; --bad-wash: #feebec; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --soft: #a0a4ab; --line: #2b2f36;
  --paper: #111316; --card: #191c20; --good: #3dd68c; --fair: #f5d90a; --bad: #ff9592;
  --good-wash: #12281e; --fair-wash: #2b2508; --bad-wash: #3b1219; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.5rem; max-width: 78rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between;
  gap: 0 2rem; }
h1 { margin: 0; font-size: 1.6rem; letter-spacing: -.02em; }
h1 span { color: var(--soft); font-weight: 400; }
header p, footer, small, time { color: var(--soft); }
header p { margin: 0; }
a { color: inherit; }
.sums { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1rem;
  margin: 1.5rem 0; }
.sums div, section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.sums div { display: flex; flex-direction: column-reverse; padding: .8rem 1.1rem; }
.sums dd { margin: 0; font-size: 1.9rem; font-weight: 600; line-height: 1.2;
  font-variant-numeric: tabular-nums; }
.sums dt { color: var(--soft); }
.sums .good dd { color: var(--good); }
.sums .bad { background: var(--bad-wash); }
.sums .bad dd { color: var(--bad); }
section { margin: 1rem 0; overflow: hidden; }
h2 { display: flex; align-items: center; gap: .7rem; margin: 0; font-size: 1.05rem; }
section > h2 { padding: .8rem 1.1rem .3rem; }
h2 span { padding: .05rem .6rem; border-radius: 1rem; font-size: .8rem; font-weight: 500; }
h2 .good { background: var(--good-wash); color: var(--good); }
h2 .fair { background: var(--fair-wash); color: var(--fair); }
h2 .bad { background: var(--bad-wash); color: var(--bad); }
.wide { overflow-x: auto; }
table { width: 100%; min-width: 68rem; table-layout: fixed; border-collapse: collapse;
  font-variant-numeric: tabular-nums; }
thead th:nth-child(1) { width: 21%; } thead th:nth-child(2) { width: 14.5%; }
thead th:nth-child(3) { width: 8%; } thead th:nth-child(4) { width: 10.5%; }
thead th:nth-child(5) { width: 6.5%; } thead th:nth-child(6) { width: 6%; }
thead th:nth-child(7) { width: 11%; } thead th:nth-child(8) { width: 6%; }
thead th:nth-child(9) { width: 7.5%; } thead th:nth-child(10) { width: 9%; }
th, td { padding: .4rem .6rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; }
thead th { padding: .7rem .6rem; color: var(--soft); font-size: .8rem; font-weight: 500; }
tbody th { padding-top: .9rem; border-top: 1px solid var(--line); color: var(--ink); }
tbody tr:last-child td { padding-bottom: .9rem; }
th:first-child, td:first-child { padding-left: 1.1rem; }
th:last-child, td:last-child { padding-right: 1.1rem; }
th.n, td.n { text-align: right; white-space: nowrap; }
td > b { font-weight: 500; }
td > b::before { content: ""; display: inline-block; width: .55em; height: .55em;
  margin-right: .5em; border-radius: 50%; background: currentColor; }
b.good { color: var(--good); } b.fair { color: var(--fair); } b.bad { color: var(--bad); }
meter { width: 4rem; height: .8rem; vertical-align: -.05rem; }
code { font: .92em ui-monospace, monospace; }
ol { margin: 0; padding: .2rem 1.1rem .9rem; list-style: none; }
li { padding: .12rem 0; }
time { display: inline-block; min-width: 7.5rem; }
.notice { margin: 1rem 0; padding: .5rem 1.1rem; border-radius: 10px;
  background: var(--fair-wash); }
.empty { padding: 4rem 1rem; color: var(--soft); text-align: center; }
footer { margin-top: 1.5rem; font-size: .85rem; }
`;
