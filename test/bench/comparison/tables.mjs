// From samples to figures, and from figures to the page's tables.

/** What a contestant's samples come to: milliseconds, registrations a second, CPU µs. */
export function summaryOf({ cold, warm, notified, registered }) {
  const median = (key) => registered.map((each) => each[key]).sort((a, b) => a - b)[Math.floor(registered.length / 2)];
  return {
    cold: spreadOf(cold),
    warm: spreadOf(warm),
    notified: spreadOf(notified),
    registered: {
      ...spreadOf(registered.flatMap(({ took }) => took)),
      perSecond: median("perSecond"),
      cpu: median("cpu"),
    },
  };
}

function spreadOf(samples) {
  const sorted = samples.slice().sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  const average = sorted.reduce((sum, each) => sum + each, 0) / sorted.length;
  return { count: sorted.length, p50: at(0.5), average, p99: at(0.99), most: sorted.at(-1) };
}

/** The tables of the page, by the names of their places. */
export function tablesOf(figures) {
  const clients = Object.entries(figures).flatMap(([name, { rival, ours, theirs }]) => [
    { name, through: "ours", ...ours },
    { name, through: `\`${rival}\``, ...theirs },
  ]);
  const ms = (key) => clients.map(({ name, through, [key]: each }) => [name, through, ...spreadCells(each)]);
  return {
    cold: table(["registry", "through", "average, ms", "p99", "maximum", "of"], ms("cold")),
    warm: table(["registry", "through", "average, ms", "p99", "maximum", "of"], ms("warm")),
    notified: table(
      ["registry", "through", "median, ms", "average", "p99", "maximum", "of"],
      clients.map(({ name, through, notified }) => [name, through, text(notified.p50), ...spreadCells(notified)]),
    ),
    registered: table(
      ["registry", "through", "per second", "client CPU, µs each", "average, ms", "p99", "maximum", "of"],
      clients.map(({ name, through, registered: { perSecond, cpu, ...took } }) => {
        return [name, through, Math.round(perSecond).toLocaleString("en"), text(cpu), ...spreadCells(took)];
      }),
    ),
  };
}

function spreadCells({ average, p99, most, count }) {
  return [text(average), text(p99), text(most), String(count)];
}

/** Three significant digits, no more: the rest is noise. */
function text(value) {
  return Number(value.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 5 });
}

function table(head, rows) {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  const line = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  return [line(head), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.map(line)].join("\n");
}
