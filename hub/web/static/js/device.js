// A device's page: one chart for each quantity, all with one cursor. Silences and alerts lie behind the lines.
import * as frame from "./frame.js";
import * as strip from "./strip.js";
import { colour, hatch, moment, mount, number, timeAxis, tip, valueAxis } from "./chart.js";
import { fragment } from "./page.js";

const HEIGHT = 240;
const PRIORITY_COLOURS = { 1: "p1", 2: "p2", 3: "p3", 4: "p4" };

function band(chart, from, to, paint) {
  const { left, top, width, height } = chart.bbox;
  const clamp = (x) => Math.min(left + width, Math.max(left, x));
  const a = clamp(chart.valToPos(from, "x", true));
  const b = clamp(chart.valToPos(to, "x", true));
  if (b > left && a < left + width) paint(a, top, Math.max(2, b - a), height);
}

function drawSilences(chart, page) {
  const fill = hatch(chart.ctx, colour("bad"));
  for (const one of page.silences) {
    band(chart, one.from, one.to ?? page.until, (x, y, width, height) => {
      chart.ctx.save();
      chart.ctx.globalAlpha = 0.38;
      chart.ctx.fillStyle = fill;
      chart.ctx.fillRect(x, y, width, height);
      chart.ctx.restore();
    });
  }
}

function drawAlerts(chart, page) {
  for (const one of page.alerts) {
    const tint = colour(PRIORITY_COLOURS[one.priority]);
    band(chart, one.from, one.to ?? page.until, (x, y, width, height) => {
      chart.ctx.save();
      chart.ctx.fillStyle = tint;
      chart.ctx.globalAlpha = 0.1;
      chart.ctx.fillRect(x, y, width, height);
      chart.ctx.globalAlpha = 1;
      if (one.from >= page.since) chart.ctx.fillRect(x, y, 2 * devicePixelRatio, height);
      chart.ctx.restore();
    });
  }
}

function describe(curve, page) {
  return (index) => {
    const [times, means, lows, highs] = curve.columns;
    if (means[index] === null) return ["Sin datos", moment(times[index])];
    const lines = [number(means[index], curve.unit), moment(times[index])];
    if (page.hasRange) lines.push(`entre ${number(lows[index])} y ${number(highs[index], curve.unit)}`);
    const alerts = page.alerts.filter((one) => one.from <= times[index] && times[index] <= (one.to ?? page.until));
    return [...lines, ...alerts.map((one) => `${one.code} ${one.label}`)];
  };
}

function draw(box, curve, page) {
  const [times, means, lows, highs] = curve.columns;
  if (!times.length) return;
  const line = { stroke: () => colour("link"), width: 2, points: { size: 5 } };
  const edge = { stroke: "transparent", width: 0, points: { show: false } };
  const options = {
    cursor: { sync: { key: "dispositivo" }, y: false, drag: { x: true, y: false } },
    scales: { x: { time: true, min: page.since, max: page.until, range: (_chart, min, max) => [min ?? page.since, max ?? page.until] } },
    axes: [timeAxis(), valueAxis(curve.unit)],
    series: page.hasRange ? [{}, line, edge, edge] : [{}, line],
    bands: page.hasRange ? [{ series: [3, 2], fill: () => `${colour("link")}38` }] : [],
    hooks: { drawAxes: [(chart) => { drawSilences(chart, page); drawAlerts(chart, page); }] },
    plugins: [tip(describe(curve, page))],
  };
  const chart = mount(box, HEIGHT, options, page.hasRange ? [times, means, lows, highs] : [times, means]);
  chart.setScale("x", { min: page.since, max: page.until });
  chart.over.addEventListener("dblclick", () => chart.setScale("x", { min: page.since, max: page.until }));
}

async function start() {
  const charts = document.getElementById("graficos");
  const boxes = [...charts.querySelectorAll(".chart")];
  if (!boxes.length) return;
  try {
    await document.fonts.ready;
    const page = JSON.parse(await fragment(charts.dataset.source));
    for (const box of boxes) if (page.curves[box.dataset.curve]) draw(box, page.curves[box.dataset.curve], page);
  } catch (error) {
    for (const box of boxes) box.textContent = error.message;
  }
}

frame.start(() => { strip.refresh().catch(() => {}); });
start();
