// Draws docs/balancers/*.svg from the simulation's figures:
// node test/simulation/balance/main.mjs --seeds 1,2,3,4,5 > docs/balancers/figures.json && node test/bench/charts.mjs
import { readFileSync, writeFileSync } from "node:fs";

const at = (name) => new URL(`../../docs/balancers/${name}`, import.meta.url);
const table = JSON.parse(readFileSync(at("figures.json"), "utf8"));

/** Colours that stand out from black and from white; and shapes, for those who cannot tell the colours apart. */
const SERIES = {
  "round-robin": ["#8a8f98", "circle"],
  "least-requests": ["#b8860b", "square"],
  "the bare law": ["#d1495b", "cross"],
  "Finagle's PeakEWMA": ["#8e6bbf", "triangle"],
  "latency-weighted": ["#2a9d5c", "diamond"],
  adaptive: ["#2f7fd1", "ring"],
};
const COUNT = Object.keys(SERIES).length;
const LEFT = 350;
const WIDTH = 860;
const ROW = 38;
/** Longer labels go on in a second line, in characters. */
const LINE = 50;
/** Marks of one row stand a little below each other, so that none hides another. */
const STEP = 4;
const TOP = 64;

chart("tail.svg", "99th percentile, ms (logarithmic)", {
  scenarios: ["E1", "E2", "E3", "E3b", "E4", "E5", "E8", "E9", "E10", "E11"],
  of: ({ p99 }) => p99,
  ticks: [50, 100, 200, 500, 1_000, 2_000, 5_000],
});
chart("errors.svg", "failed calls, % (logarithmic)", {
  scenarios: ["E6", "E6 ejecting", "E7"],
  of: ({ errors }) => errors,
  ticks: [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100],
});

/** One line per scenario, one mark per balancer: the further to the left, the better. */
function chart(file, title, { scenarios, of, ticks }) {
  const [least, most] = [ticks[0], ticks.at(-1)];
  const x = (value) => {
    const share = Math.log(Math.min(Math.max(value, least), most) / least) / Math.log(most / least);
    return (LEFT + share * (WIDTH - LEFT - 30)).toFixed(1);
  };
  const height = TOP + scenarios.length * ROW + 30;
  const bottom = height - 26;
  const grid = ticks.map(
    (tick) =>
      `<line class="grid" x1="${x(tick)}" x2="${x(tick)}" y1="${TOP - 6}" y2="${bottom}"/>` +
      `<text x="${x(tick)}" y="${bottom + 16}" text-anchor="middle">${tick}</text>`,
  );
  const rows = scenarios.map((id, index) => {
    const y = TOP + index * ROW + ROW / 2;
    const marks = Object.entries(SERIES).map(([name, look], series) =>
      mark(look, x(of(table[id].figures[name])), y + (series - (COUNT - 1) / 2) * STEP, name),
    );
    return `${label(id, table[id].what, y)}${marks.join("")}`;
  });
  writeFileSync(at(file), `${svg(height, title, [legend(title), ...grid, ...rows])}\n`);
}

function legend(title) {
  const heading = `<text class="title" x="12" y="20">${title}</text>`;
  let left = 18;
  const entries = Object.entries(SERIES).map(([name, look]) => {
    const entry = `${mark(look, left, 40, name)}<text x="${left + 11}" y="44">${name}</text>`;
    left += 42 + 6.6 * name.length;
    return entry;
  });
  return heading + entries.join("");
}

function label(id, what, y) {
  const words = `${id.split(" ")[0]}: ${what}`;
  if (words.length <= LINE) return `<text x="12" y="${y + 4}">${words}</text>`;
  const cut = words.lastIndexOf(" ", LINE);
  const second = `<text x="34" y="${y + 12}">${words.slice(cut + 1)}</text>`;
  return `<text x="12" y="${y - 3}">${words.slice(0, cut)}</text>${second}`;
}

function mark([colour, shape], x, y, name) {
  const path = {
    circle: "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0",
    square: "M-4.5,-4.5h9v9h-9z",
    diamond: "M0,-6L6,0L0,6L-6,0z",
    triangle: "M0,-6L5.5,4.5H-5.5z",
    cross: "M-5,-5L5,5M5,-5L-5,5",
    ring: "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0",
  }[shape];
  const isLine = shape === "cross" || shape === "ring";
  const paint = isLine ? `fill="none" stroke="${colour}" stroke-width="2.5"` : `fill="${colour}"`;
  return `<path d="${path}" transform="translate(${x} ${y})" ${paint} fill-opacity="0.85"><title>${name}</title></path>`;
}

function svg(height, title, parts) {
  const style =
    "text{font:12px system-ui,sans-serif;fill:#3b4048}.title{font-weight:600;font-size:13px}.grid{stroke:#8a8f98;stroke-opacity:.35}" +
    "@media(prefers-color-scheme:dark){text{fill:#c9d1d9}}";
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${title}">`;
  return [open, `<style>${style}</style>`, ...parts, "</svg>"].join("\n");
}
