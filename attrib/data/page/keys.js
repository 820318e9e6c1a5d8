/* The keyboard, away from fields that take text. */

import { answerIsRightToLeft, leap, step } from "./answer.js";
import { answerCount, data } from "./data.js";
import { byId } from "./dom.js";
import { copyLink } from "./exports.js";
import { currentSection, stepSection, toggleOpen, togglePin } from "./sections.js";
import { change, clearSelection, MODELS, state } from "./state.js";
import { next } from "./toolbar.js";
import { hide } from "./tip.js";

const onSection = (act) => {
  const index = currentSection();
  if (index >= 0) act(index);
};

const ACTS = {
  ArrowLeft: (event) => step(answerIsRightToLeft() ? 1 : -1, event.shiftKey),
  ArrowRight: (event) => step(answerIsRightToLeft() ? -1 : 1, event.shiftKey),
  ArrowUp: () => stepSection(-1),
  ArrowDown: () => stepSection(1),
  1: () => change({ model: MODELS[0] }),
  2: () => change({ model: MODELS[1] }),
  3: () => change({ model: MODELS[2] }),
  m: () => next("method", data.methods),
  n: () => next("mapper", data.mappers),
  p: () => onSection(togglePin),
  o: () => onSection(toggleOpen),
  y: copyLink,
  "/": () => byId("search").focus(),
  "?": () => byId("help").showModal(),
  Escape: () => (state.section >= 0 ? change({ section: -1 }) : clearSelection()),
};

/** Keys that scroll the page elsewhere. */
const IN_ANSWER = {
  Home: (event) => leap(0, event.shiftKey),
  End: (event) => leap(answerCount - 1, event.shiftKey),
};

export function mountKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || byId("help").open) return;
    const field = event.target.closest?.("input, textarea, select");
    if (field) {
      if (event.key === "Escape") field.blur();
      return;
    }
    // A box that scrolls keeps the keys that scroll it.
    if (event.key.startsWith("Arrow") && event.target.closest?.("#numbers, #prompt-numbers, .base-said, .command")) return;
    if ((event.key === "Enter" || event.key === " ") && event.target.classList?.contains("token")) {
      event.preventDefault();
      event.target.click();
      return;
    }
    const inAnswer = event.target.classList?.contains("token");
    const act = ACTS[event.key] ?? (inAnswer ? IN_ANSWER[event.key] : null);
    if (!act) return;
    event.preventDefault();
    hide();
    act(event);
  });
}
