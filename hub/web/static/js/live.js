// The live line to the hub. It says honestly whether it is up: old data must never look fresh.
import { fragment, toLogin } from "./page.js";
import { clock, hubNow, setHubTime } from "./time.js";

const HEARTBEAT_S = 15; // hub/web/routes/live.py
const DEAD_AFTER_MS = HEARTBEAT_S * 2.5 * 1000;
const RETRY_MS = 2000;

let source = null;
let lastSignAt = 0;
let downSince = null;
let wasUp = false;

function showLine(isUp) {
  const state = document.getElementById("enlace");
  const stale = document.getElementById("atraso");
  state.dataset.state = isUp ? "on" : "off";
  state.textContent = isUp ? "Conectado" : "Sin conexión";
  stale.hidden = isUp;
  if (!isUp) stale.textContent = `Sin conexión desde ${clock(downSince).slice(0, 5)} — los datos pueden estar atrasados`;
}

function connect(onChange, { stream, probe, show }) {
  const isDown = () => { downSince ??= hubNow(); show(false); };
  source?.close();
  source = new EventSource(stream);
  const alive = () => { lastSignAt = Date.now(); };
  alive();
  source.addEventListener("latido", (event) => {
    alive();
    setHubTime(JSON.parse(event.data).now);
    if (downSince !== null || !wasUp) {
      downSince = null;
      wasUp = true;
      show(true);
      onChange(null); // whatever happened meanwhile was missed: read everything again
    }
  });
  source.addEventListener("alerta", (event) => { alive(); onChange(JSON.parse(event.data)); });
  source.addEventListener("todo", () => { alive(); onChange(null); });
  source.addEventListener("fin", () => {
    source.close();
    toLogin();
  });
  source.addEventListener("error", () => {
    isDown();
    if (source.readyState !== EventSource.CLOSED) return; // the browser retries a broken line by itself
    // It gives up on an error answer. Where that was the end of the session, this request leads to the login.
    fragment(probe).catch(() => {});
    setTimeout(() => connect(onChange, { stream, probe, show }), RETRY_MS);
  });
}

// `onChange(null)` means read everything again, `onChange({alert_id, version})` one alert. `probe` answers 401
// when the session has ended; `show(isUp)` tells people.
export function start(onChange, { stream = "/eventos", probe = "/tira", show = showLine } = {}) {
  const line = { stream, probe, show };
  connect(onChange, line);
  setInterval(() => {
    if (Date.now() - lastSignAt > DEAD_AFTER_MS) {
      downSince ??= hubNow();
      show(false);
      connect(onChange, line);
    }
  }, 2000);
}
