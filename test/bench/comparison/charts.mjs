// Draws the run: one line per registry and client. A dot is the average, the bar ends at p99, the stroke at the maximum.

const SIDES = {
  ours: { colour: "#2f7fd1", says: "this library" },
  theirs: { colour: "#c0781b", says: "the client of today" },
  spec: { colour: "#8a8f98", says: "the spec's table" },
};
/** What the spec reports of its own machine, ms. */
const SPEC = {
  eureka: { average: 80, p99: 80, most: 150 },
  consul: { average: 45, p99: 45, most: 90 },
  nacos: { average: 35, p99: 35, most: 70 },
};
const LEFT = 190;
const WIDTH = 860;
const RIGHT = 60;
const ROW = 20;
const TOP = 56;

/** The page's charts by the names of their files. */
export function chartsOf(figures) {
  const spread = (key, title, also) => chart(figures, title, (side) => side[key], also);
  const rate = ({ registered: { perSecond } }) => ({ average: perSecond, p99: perSecond, most: perSecond });
  return {
    "first-answer.svg": spread(
      "cold",
      "a new client's first answer, 100 instances, ms (logarithmic)",
      (name) => SPEC[name],
    ),
    "later-answer.svg": spread("warm", "the same question again, ms (logarithmic)"),
    "notified.svg": spread("notified", "from registering to hearing of it, ms (logarithmic)"),
    "registered.svg": chart(figures, "registrations a second, 32 at a time (logarithmic)", rate),
  };
}

function chart(figures, title, of, also = () => undefined) {
  const groups = Object.entries(figures).map(([name, { rival, ours, theirs }]) => {
    const rows = [
      { side: "ours", label: "ours", figure: of(ours) },
      { side: "theirs", label: rival, figure: of(theirs) },
      { side: "spec", label: "the spec's", figure: also(name) },
    ];
    return { name, rows: rows.filter(({ figure }) => figure) };
  });
  const values = groups.flatMap(({ rows }) => rows.flatMap(({ figure: { average, most } }) => [average, most]));
  const axis = logarithmic(Math.min(...values), Math.max(...values));
  const count = groups.reduce((sum, { rows }) => sum + rows.length, 0);
  const height = TOP + count * ROW + groups.length * 10 + 30;
  const bottom = height - 28;
  const parts = [legend(title, groups), ...axis.ticks.map((tick) => gridLine(axis.x(tick), tick, bottom))];
  let y = TOP;
  for (const { name, rows } of groups) {
    parts.push(`<text class="title" x="12" y="${y + 14}">${name}</text>`);
    for (const row of rows) {
      parts.push(drawn(row, y + ROW / 2, axis));
      y += ROW;
    }
    y += 10;
  }
  return svg(height, title, parts);
}

function drawn({ side, label, figure: { average, p99, most } }, y, { x }) {
  const { colour } = SIDES[side];
  const [from, to, end] = [x(average), x(Math.max(average, p99)), x(most)];
  const says = `<title>${label}: ${shown(average)}, ${shown(p99)}, ${shown(most)}</title>`;
  return [
    `<text x="${LEFT - 10}" y="${y + 4}" text-anchor="end">${label}</text>`,
    `<path d="M${from},${y}H${end}M${end},${y - 5}v10" fill="none" stroke="${colour}" stroke-width="1.5"/>`,
    `<path d="M${from},${y}H${to}" stroke="${colour}" stroke-width="6" stroke-opacity="0.5"/>`,
    `<circle cx="${from}" cy="${y}" r="5" fill="${colour}">${says}</circle>`,
    `<text x="${Number(end) + 8}" y="${y + 4}" class="small">${shown(average)}</text>`,
  ].join("");
}

function logarithmic(least, most) {
  const first = Math.floor(Math.log10(least));
  const last = Math.ceil(Math.log10(most));
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index));
  const share = (value) => (Math.log10(value) - first) / (last - first);
  return { ticks, x: (value) => (LEFT + share(value) * (WIDTH - LEFT - RIGHT)).toFixed(1) };
}

function gridLine(x, tick, bottom) {
  const line = `<line class="grid" x1="${x}" x2="${x}" y1="${TOP - 6}" y2="${bottom}"/>`;
  return `${line}<text x="${x}" y="${bottom + 16}" text-anchor="middle">${shown(tick)}</text>`;
}

function legend(title, groups) {
  const sides = new Set(groups.flatMap(({ rows }) => rows.map(({ side }) => side)));
  const entries = [...sides].map((side, index) => {
    const x = 18 + index * 170;
    return `<circle cx="${x}" cy="36" r="5" fill="${SIDES[side].colour}"/><text x="${x + 10}" y="40">${SIDES[side].says}</text>`;
  });
  return `<text class="title" x="12" y="20">${title}</text>${entries.join("")}`;
}

function shown(value) {
  return Number(value.toPrecision(2)).toLocaleString("en", { maximumFractionDigits: 5 });
}

function svg(height, title, parts) {
  const style =
    "text{font:12px system-ui,sans-serif;fill:#3b4048}.title{font-weight:600;font-size:13px}.small{font-size:11px}" +
    ".grid{stroke:#8a8f98;stroke-opacity:.35}@media(prefers-color-scheme:dark){text{fill:#c9d1d9}}";
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${title}">`;
  return [open, `<style>${style}</style>`, ...parts, "</svg>"].join("\n");
}
