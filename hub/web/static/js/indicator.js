// An indicator's chart: frozen figures joined by a line, each with the shape of its traffic light; the running
// period stands apart, hollow, because it changes until somebody freezes it.
import * as frame from "./frame.js";
import * as strip from "./strip.js";
import { colour, mount, number, tip, valueAxis } from "./chart.js";
import { fragment } from "./page.js";

const HEIGHT = 280;
const COLOURS = { cumple: "good", avanza: "warn", atrasado: "bad", sin_meta: "link" };
const SIZE = 6;

// As the lights of the page: a circle, a triangle, a square.
function trace(pen, light, x, y, size) {
  pen.beginPath();
  if (light === "avanza") {
    pen.moveTo(x, y - size);
    pen.lineTo(x + size, y + size);
    pen.lineTo(x - size, y + size);
    pen.closePath();
  } else if (light === "atrasado") pen.rect(x - size, y - size, 2 * size, 2 * size);
  else pen.arc(x, y, size, 0, 2 * Math.PI);
}

function drawMarks(chart, bars) {
  const pen = chart.ctx;
  const size = SIZE * devicePixelRatio;
  pen.save();
  for (const [index, bar] of bars.entries()) {
    if (bar.value === null) continue;
    const x = chart.valToPos(index, "x", true);
    const y = chart.valToPos(bar.value, "y", true);
    const tint = colour(COLOURS[bar.light] ?? "link");
    trace(pen, bar.light, x, y, size);
    pen.fillStyle = bar.isProvisional ? colour("surface") : tint;
    pen.fill();
    if (!bar.isProvisional) continue;
    pen.strokeStyle = tint;
    pen.lineWidth = 2 * devicePixelRatio;
    pen.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    pen.stroke();
  }
  pen.restore();
}

function periodAxis(bars) {
  return {
    stroke: () => colour("muted"),
    grid: { show: false },
    ticks: { stroke: () => colour("line"), size: 5 },
    font: '14px "Atkinson Hyperlegible", system-ui, sans-serif',
    size: 34,
    space: 78,
    incrs: [1, 2, 3, 4, 6, 12],
    values: (_chart, splits) => splits.map((at) => bars[at]?.period ?? ""),
  };
}

function draw(box, series, bars) {
  const dashes = (on, off) => [on * devicePixelRatio, off * devicePixelRatio];
  const frozen = bars.map((bar) => (bar.isProvisional ? null : bar.value));
  const running = bars.map((bar) => (bar.isProvisional ? bar.value : null));
  const levels = [...bars.flatMap((bar) => [bar.value, bar.target]), series.baseline].filter((one) => one !== null);
  const low = Math.min(0, ...levels);
  const high = Math.max(...levels, low + 1e-9);
  mount(box, HEIGHT, {
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: { x: { time: false, range: [-0.5, bars.length - 0.5] }, y: { range: [low, high + (high - low) * 0.12] } },
    axes: [periodAxis(bars), valueAxis(series.unit)],
    series: [
      {},
      { stroke: () => colour("muted"), width: 1.5, dash: dashes(2, 4), points: { show: false } },
      { stroke: () => colour("good"), width: 2, dash: dashes(7, 4), points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) },
      { stroke: () => colour("link"), width: 2, points: { show: false } },
      { points: { show: false }, stroke: "transparent" },
    ],
    hooks: { draw: [(chart) => drawMarks(chart, bars)] },
    plugins: [tip((index) => [
      `${bars[index].period}${bars[index].isProvisional ? ", provisoria" : ""}`,
      bars[index].text,
      ...(bars[index].target === null ? [] : [`meta ${number(bars[index].target, series.unit)}`]),
    ])],
  }, [bars.map((_bar, index) => index), bars.map(() => series.baseline), bars.map((bar) => bar.target), frozen, running]);
}

async function start(box) {
  await document.fonts.ready;
  const series = JSON.parse(await fragment(`${box.dataset.source}/serie.json`));
  if (series.bars.length) draw(box, series, series.bars);
  else box.textContent = "Aún no hay cifras congeladas.";
  const now = JSON.parse(await fragment(`${box.dataset.source}/provisorio.json`));
  if (!now.period) return;
  document.getElementById("provisorio").textContent = now.told;
  draw(box, series, [...series.bars, { ...now, isProvisional: true }]);
  box.dataset.provisional = now.period;
}

frame.start(() => { strip.refresh().catch(() => {}); });
const box = document.getElementById("serie");
if (box) start(box).catch((error) => { if (!("drawn" in box.dataset)) box.textContent = error.message; });
