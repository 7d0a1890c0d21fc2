// Copies what the console needs out of node_modules: there is no build step, and nothing is loaded from
// another host. Licences travel with the files.
import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = join(here, "..", "..", "node_modules");
const vendor = join(here, "static", "vendor");
const font = "@fontsource/atkinson-hyperlegible";

// [from node_modules, to static/vendor]
const FILES = [
  ["leaflet/dist/leaflet.js", "leaflet/leaflet.js"],
  ["leaflet/dist/leaflet.css", "leaflet/leaflet.css"],
  ["leaflet/dist/images", "leaflet/images"],
  ["leaflet/LICENSE", "leaflet/LICENSE"],
  ["uplot/dist/uPlot.iife.min.js", "uplot/uplot.js"],
  ["uplot/dist/uPlot.min.css", "uplot/uplot.css"],
  ["uplot/LICENSE", "uplot/LICENSE"],
  [`${font}/LICENSE`, "atkinson/LICENSE"],
  ...["400", "700"].map((weight) => [
    `${font}/files/atkinson-hyperlegible-latin-${weight}-normal.woff2`,
    `atkinson/latin-${weight}.woff2`,
  ]),
];

rmSync(vendor, { recursive: true, force: true });
for (const [from, to] of FILES) {
  const source = join(modules, from);
  if (!existsSync(source)) {
    console.error(`${from} is missing: run "npm ci" first`);
    process.exit(1);
  }
  mkdirSync(dirname(join(vendor, to)), { recursive: true });
  cpSync(source, join(vendor, to), { recursive: true });
}
