/* One tooltip for the page: numbers of what the pointer or the focus is on. */

import { byId, make } from "./dom.js";

const GAP = 8; // pixels between the tooltip and what it is about

/** Show `describe(element, event)`, an array of lines or null, for elements in `root` that match `selector`. */
export function explainHover(root, selector, describe) {
  const show = (event) => {
    // A click gives the focus too, but its reader has the pointer there already.
    if (event.type === "focusin" && !event.target.matches(":focus-visible")) return;
    const target = event.target.closest?.(selector);
    const lines = target && root.contains(target) ? describe(target, event) : null;
    if (lines) place(lines, event.type === "focusin" ? target.getBoundingClientRect() : around(event, target));
    else hide();
  };
  root.addEventListener("pointermove", show);
  root.addEventListener("pointerleave", hide);
  root.addEventListener("focusin", show);
  root.addEventListener("focusout", hide);
}

/** A canvas is all one box: there the tooltip follows the pointer. */
function around(event, target) {
  return target.tagName === "CANVAS"
    ? new DOMRect(event.clientX, event.clientY - 6, 1, 12)
    : target.getBoundingClientRect();
}

function place(lines, box) {
  const tip = byId("tip");
  tip.replaceChildren(...lines.map((line) => make("div", { dir: "auto" }, line)));
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const room = document.documentElement.clientWidth;
  const above = box.top - height - GAP;
  tip.style.left = `${Math.max(4, Math.min(box.left, room - width - 4))}px`;
  tip.style.top = `${above > 4 ? above : box.bottom + GAP}px`;
}

export function hide() {
  byId("tip").hidden = true;
}
