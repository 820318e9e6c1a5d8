/* The page: every view is made once, then follows the state. */

import { mountAnswer } from "./answer.js";
import { onSchemeChange } from "./colours.js";
import { data, selectionText } from "./data.js";
import { byId } from "./dom.js";
import { mountExports } from "./exports.js";
import { drawTheme, fitList, mountFrame } from "./frame.js";
import { mountHeads } from "./heads.js";
import { mountKeys } from "./keys.js";
import { mountQuestionBox } from "./live.js";
import { drawMinimap, mountMinimap } from "./minimap.js";
import { mountPrompt } from "./prompt.js";
import { bestSaid, mountSections, openAll } from "./sections.js";
import { announce, followAddress, listen, state } from "./state.js";
import { mountToolbar } from "./toolbar.js";

followAddress();
listen((changed) => changed.has("theme") && drawTheme());
drawTheme();
byId("page").hidden = false;
for (const mount of [
  mountFrame,
  mountAnswer,
  mountPrompt,
  mountHeads,
  mountSections,
  mountToolbar,
  mountMinimap,
  mountExports,
  mountKeys,
])
  mount();
if (data.live) mountQuestionBox(byId("ask"), data.live);
fitList();
// The first drawing is one like all others: nothing that the address names can be forgotten.
announce(new Set(Object.keys(state)));
listen((changed) => ["first", "last", "section", "mapper", "model"].some((name) => changed.has(name)) && speak());
onSchemeChange(() => announce(new Set(["theme"])));
printOpen();
performance.mark("attrib-drawn");
document.documentElement.dataset.ready = "yes";

/** What a screen reader hears: the tokens, their verdict, the best section and its score. */
function speak() {
  const label = state.first >= 0 && state.first === state.last ? `, ${data.tokens[state.first].label}` : "";
  byId("live").textContent = `${selectionText(state.first, state.last)}${label}, ${bestSaid()}`;
}

/** Paper has no buttons and is light: sections that are listed are printed whole, all colours are painted again. */
function printOpen() {
  const print = window.matchMedia("print");
  let undo = null;
  print.addEventListener("change", () => {
    announce(new Set(["theme"]));
    // The browser does not wait for the next frame before it prints.
    drawMinimap();
    if (print.matches) undo ??= openAll();
    else {
      undo?.();
      undo = null;
    }
  });
}
