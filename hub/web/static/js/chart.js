// What all charts share: colours of the theme, times of the commune, Spanish figures, a tip under the cursor.
const zone = document.body.dataset.timezone;

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const format = (options) => new Intl.DateTimeFormat("es-CL", { timeZone: zone, hourCycle: "h23", ...options });
const FORMATS = {
  minute: format({ hour: "2-digit", minute: "2-digit" }),
  second: format({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  day: format({ day: "numeric", month: "short" }),
  month: format({ month: "short", year: "numeric" }),
  whole: format({ weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" }),
};

export const moment = (seconds) => FORMATS.whole.format(seconds * 1000);

export function number(value, unit = "") {
  if (value === null || value === undefined) return "sin datos";
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toLocaleString("es-CL", { maximumFractionDigits: digits })} ${unit}`.trim();
}

// Midnight is named by its day, so that a night's chart tells where the date changes.
function timeLabels(_chart, splits, _axis, _space, step) {
  if (step >= 28 * 86_400) return splits.map((at) => FORMATS.month.format(at * 1000));
  if (step >= 86_400) return splits.map((at) => FORMATS.day.format(at * 1000));
  const fine = step < 60 ? FORMATS.second : FORMATS.minute;
  return splits.map((at) => {
    const hour = FORMATS.minute.format(at * 1000);
    return hour === "00:00" ? FORMATS.day.format(at * 1000) : fine.format(at * 1000);
  });
}

const FONT = '14px "Atkinson Hyperlegible", system-ui, sans-serif';

const axis = (more) => ({
  stroke: () => colour("muted"),
  grid: { stroke: () => colour("line"), width: 1 },
  ticks: { stroke: () => colour("line"), width: 1, size: 5 },
  font: FONT,
  ...more,
});

export const timeAxis = () => axis({ values: timeLabels, space: 70, size: 34 });

export const valueAxis = (unit) => axis({
  size: 62,
  label: unit || undefined,
  labelFont: FONT,
  labelSize: unit ? 22 : 0,
  values: (_chart, splits) => splits.map((value) => value.toLocaleString("es-CL")),
});

// A hatch: a silence is told apart without its colour, too.
export function hatch(context, tint) {
  const tile = new OffscreenCanvas(8, 8);
  const pen = tile.getContext("2d");
  pen.strokeStyle = tint;
  pen.lineWidth = 2;
  pen.beginPath();
  for (const shift of [-8, 0, 8]) {
    pen.moveTo(shift, 8);
    pen.lineTo(shift + 8, 0);
  }
  pen.stroke();
  return context.createPattern(tile, "repeat");
}

// Lines of text beside the cursor; `describe(index)` returns [strong, ...lines] or null.
export function tip(describe) {
  let box = null;
  return {
    hooks: {
      init: (chart) => {
        box = document.createElement("div");
        box.className = "tip";
        box.hidden = true;
        chart.over.append(box);
      },
      setCursor: (chart) => {
        const { idx, left } = chart.cursor;
        const lines = idx === null || idx === undefined || left < 0 ? null : describe(idx, chart);
        box.hidden = !lines;
        if (!lines) return;
        box.replaceChildren();
        for (const [at, line] of lines.entries()) {
          const element = document.createElement(at ? "div" : "strong");
          element.textContent = line;
          box.append(element);
        }
        const isRight = left > chart.over.clientWidth / 2;
        box.style.left = isRight ? "auto" : `${left + 14}px`;
        box.style.right = isRight ? `${chart.over.clientWidth - left + 14}px` : "auto";
      },
    },
  };
}

// Draw into `box`, at its width, and again whenever the width or the theme changes.
export function mount(box, height, options, data) {
  box.replaceChildren();
  const size = () => ({ width: Math.max(240, box.clientWidth), height });
  const chart = new uPlot(
    { ...size(), tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zone), legend: { show: false }, ...options },
    data,
    box,
  );
  const watch = new ResizeObserver(() => (chart.root.isConnected ? chart.setSize(size()) : watch.disconnect()));
  watch.observe(box);
  addEventListener("tema", () => { if (chart.root.isConnected) chart.redraw(); });
  box.dataset.drawn = "";
  return chart;
}
