// Runs before the first paint, so a light room never flashes dark.
try {
  if (localStorage.getItem("tema") === "claro") document.documentElement.dataset.theme = "claro";
} catch {
  // Storage may be closed to us; dark is fine.
}
