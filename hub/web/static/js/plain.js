// Every page but the console: only the shared frame, with its strip kept fresh, and a question before what
// cannot be taken back.
import * as frame from "./frame.js";
import * as strip from "./strip.js";

frame.start(() => { strip.refresh().catch(() => {}); });

document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});
