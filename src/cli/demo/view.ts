import { stripVTControlCharacters, styleText } from "node:util";
import type { ConsumerReport, SeenInstance } from "./messages.js";

/** How the demo shows itself. */
export interface View {
  /** Something happened. */
  event(name: string, text: string, fields?: Readonly<Record<string, unknown>>): void;
  /** The consumer reports. */
  report(report: ConsumerReport, seconds: number): void;
  /** It is over. */
  summary(lines: readonly string[], fields: Readonly<Record<string, unknown>>): void;
}

const BAR = 24;
const EVENTS_SHOWN = 6;

/** A live table on a terminal, plain lines elsewhere or with `NO_COLOR`, JSON lines for machines. */
export function viewFor(out: NodeJS.WriteStream, service: string, json: boolean): View {
  if (json) return jsonView(out);
  return out.isTTY && !process.env["NO_COLOR"] ? liveView(out, service) : plainView(out);
}

function jsonView(out: NodeJS.WriteStream): View {
  const line = (value: object): void => void out.write(`${JSON.stringify(value)}\n`);
  return {
    event: (event, text, fields) => line({ event, text, ...fields }),
    report: (report, seconds) => line({ event: "report", seconds, ...report, type: undefined }),
    summary: (_lines, fields) => line({ event: "summary", ...fields }),
  };
}

function plainView(out: NodeJS.WriteStream): View {
  let told = 0;
  return {
    event: (_name, text) => void out.write(`${text}\n`),
    report(report, seconds) {
      if (seconds - told < 2) return;
      told = seconds;
      const shares = report.instances.map((each) => `${each.id.split("@")[1]} ${each.status} ${share(each, report)}`);
      out.write(
        `${seconds.toFixed(0).padStart(3)} s  ${report.calls} calls, ${report.failures} failed · ${shares.join(" · ")}\n`,
      );
    },
    summary: (lines) => void out.write(`\n${lines.join("\n")}\n`),
  };
}

function liveView(out: NodeJS.WriteStream, service: string): View {
  const events: string[] = [];
  let drawn = 0;
  const draw = (lines: readonly string[]): void => {
    const up = drawn > 0 ? `\u001b[${drawn}A` : "";
    out.write(`${up}${lines.map((line) => `\u001b[2K${line}`).join("\n")}\n\u001b[J`);
    drawn = lines.length;
  };
  return {
    event: (_name, text) => void events.push(text),
    report(report, seconds) {
      const failed =
        report.failures === 0 ? styleText("green", "0 failed") : styleText("red", `${report.failures} failed`);
      const head = `${styleText("bold", `http://${service}/`)}  ${seconds.toFixed(1)} s   ${report.calls} calls   ${failed}`;
      draw([head, "", ...report.instances.map((each) => row(each, report)), "", ...events.slice(-EVENTS_SHOWN)]);
    },
    summary: (lines) => void out.write(`\n${lines.join("\n")}\n`),
  };
}

const COLOURS: Readonly<Record<string, "green" | "red" | "yellow" | "gray">> = {
  healthy: "green",
  ejected: "red",
  gone: "gray",
};

function row(each: SeenInstance, report: ConsumerReport): string {
  const id = stripVTControlCharacters(each.id).padEnd(24);
  const status = styleText(COLOURS[each.status] ?? "yellow", each.status.padEnd(9));
  const filled = Math.round((BAR * each.calls) / Math.max(1, report.calls));
  const bar = "█".repeat(filled) + styleText("gray", "░".repeat(Math.max(0, BAR - filled)));
  const latency = each.latencyMs === undefined ? "      –" : `${each.latencyMs.toFixed(1).padStart(6)} ms`;
  return `  ${id} ${status} ${bar} ${share(each, report).padStart(6)}  ${latency}`;
}

function share({ calls }: SeenInstance, report: ConsumerReport): string {
  return `${((100 * calls) / Math.max(1, report.calls)).toFixed(1)}%`;
}
