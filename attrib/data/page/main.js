/* The page: every view is made once, then follows the state. */

import { drawAnswer, mountAnswer } from "./answer.js";
import { onSchemeChange } from "./colours.js";
import { data, selectionText } from "./data.js";
import { byId } from "./dom.js";
import { mountExports } from "./exports.js";
import { drawTheme, fitList, mountFrame } from "./frame.js";
import { drawHeads, mountHeads } from "./heads.js";
import { mountKeys } from "./keys.js";
import { mountQuestionBox } from "./live.js";
import { mountMinimap } from "./minimap.js";
import { drawPrompt, mountPrompt } from "./prompt.js";
import { bestSaid, drawSections, mountSections, openAll } from "./sections.js";
import { announce, followAddress, listen, state } from "./state.js";
import { drawToolbar, mountToolbar } from "./toolbar.js";

followAddress();
listen((changed) => changed.has("theme") && drawTheme());
drawTheme();
byId("page").hidden = false;
for (const mount of [
  mountFrame,
  mountToolbar,
  mountAnswer,
  mountPrompt,
  mountHeads,
  mountSections,
  mountMinimap,
  mountExports,
  mountKeys,
])
  mount();
if (data.live) mountQuestionBox(byId("ask"), data.live);
for (const draw of [drawToolbar, drawAnswer, drawPrompt, drawHeads, drawSections]) draw();
listen((changed) => ["first", "last", "section", "mapper", "model"].some((name) => changed.has(name)) && speak());
onSchemeChange(() => announce(new Set(["theme"])));
printOpen();
fitList();
performance.mark("attrib-drawn");
document.documentElement.dataset.ready = "yes";

/** What a screen reader hears: the tokens, their verdict, the best section and its score. */
function speak() {
  const label = state.first >= 0 && state.first === state.last ? `, ${data.tokens[state.first].label}` : "";
  byId("live").textContent = `${selectionText(state.first, state.last)}${label}, ${bestSaid()}`;
}

/** Paper has no buttons: sections that are listed are printed whole. */
function printOpen() {
  const print = window.matchMedia("print");
  let undo = null;
  print.addEventListener("change", () => {
    if (print.matches) undo ??= openAll();
    else {
      undo?.();
      undo = null;
    }
  });
}
