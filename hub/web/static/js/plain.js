// Every page but the console: only the shared frame, with its strip kept fresh.
import * as frame from "./frame.js";
import * as strip from "./strip.js";

frame.start(() => { strip.refresh().catch(() => {}); });
