/* What stands around the views: question and verdict above, provenance below, theme and help. */

import { isDark, setTheme } from "./colours.js";
import { data } from "./data.js";
import { button, byId, make, number, visible } from "./dom.js";
import { copy } from "./exports.js";
import { change, state } from "./state.js";
import { storeTheme } from "./theme.js";

const LONG_QUESTION = 160; // characters from which it is set smaller

export function mountFrame() {
  const home = data.live?.home ?? data.home;
  if (home) byId("brand").replaceWith(make("a", { id: "brand", class: "brand", href: home }, "attrib"));
  byId("question").textContent = visible(data.question);
  byId("question").classList.toggle("long", data.question.length > LONG_QUESTION);
  byId("notes").append(...data.notes.map((line) => make("p", { class: "warning" }, visible(line))));
  byId("foot").append(...foot());
  byId("help-body").append(...help());
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  // Its address is a place on the page, and addresses are views here.
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("answer-title").focus();
    byId("answer-title").scrollIntoView();
  });
  byId("theme").addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    storeTheme(theme);
    change({ theme });
  });
}

export function drawTheme() {
  setTheme(state.theme);
  byId("theme").textContent = isDark() ? "☀" : "☾";
}

/** Where the list scrolls by itself, it ends above the map, whatever of the header is still on the screen. */
export function fitList() {
  const list = byId("sections");
  const fit = () => {
    const above = Math.max(12, document.querySelector("main").getBoundingClientRect().top + 12);
    const map = byId("minimap");
    const below = map && getComputedStyle(map).position === "sticky" ? map.offsetHeight : 0;
    list.style.setProperty("--room", `${Math.max(360, window.innerHeight - above - below - 12)}px`);
  };
  for (const event of ["scroll", "resize"])
    window.addEventListener(event, () => requestAnimationFrame(fit), { passive: true });
  if (byId("minimap")) new ResizeObserver(fit).observe(byId("minimap"));
  fit();
}

/** A size as people say it. */
function bytesSaid(bytes) {
  if (bytes >= 1e6) return `${number(bytes / 1e6)} MB`;
  return bytes >= 1e3 ? `${number(bytes / 1e3)} kB` : `${bytes} bytes`;
}

function foot() {
  const rows = data.provenance.flatMap(([name, value]) => [
    make("dt", {}, name),
    make("dd", { dir: "auto" }, visible(value)),
  ]);
  const parts = [make("h2", {}, "Where this comes from"), make("dl", {}, rows)];
  if (data.dropped.length) {
    parts.unshift(
      make(
        "div",
        { class: "warning" },
        make("b", {}, `Left out to stay under ${bytesSaid(data.budgetBytes)}: `),
        data.dropped.map((line) => visible(line)).join("; "),
        ".",
      ),
    );
  }
  if (data.command) {
    parts.push(
      make("h3", {}, "Make it again"),
      make(
        "div",
        { class: "command" },
        make("code", { tabindex: "0" }, visible(data.command)),
        button("Copy", { "aria-label": "Copy the command" }, () => copy(data.command, "Command copied")),
      ),
    );
  }
  parts.push(
    make(
      "p",
      { class: "note" },
      "“Looked at” is attention; “says the same” is similarity, which is not influence; “was trained” is of the section's own text, whatever the answer; “may have taught” is an estimate from gradients. Only retraining without a section shows what it caused.",
    ),
  );
  return parts;
}

const KEYS = [
  ["← →", "previous, next token; with Shift: extend the selection"],
  ["Home End", "first, last token, from a token of the answer"],
  ["↑ ↓", "previous, next section: marks the answer tokens that its score points at"],
  ["1 2 3", "base, tuned, tuned − base"],
  ["m", "next way to score the prompt (method)"],
  ["n", "next way to score sections (mapper)"],
  ["/", "search in sections"],
  ["p", "pin the section, or let it go"],
  ["o", "open or close the section's text"],
  ["y", "copy a link to this view"],
  ["Esc", "back: first the section, then the tokens"],
  ["?", "this help"],
];

function help() {
  return [
    make(
      "p",
      {},
      "Every word of the answer is judged: did it come from the fine-tuning documents, from what the base model knew, or from neither? Where the evidence is too weak for any of these, the verdict is that it cannot tell; where the words disagree, the answer is mixed. Select a word to see which words of the prompt it rests on and which sections say it; select a section to see the words that it says the same as.",
    ),
    make(
      "p",
      {},
      "No score is read against nothing: control texts, which neither model was trained on, are scored like the sections, and their best stands in the list at its place.",
    ),
    make(
      "dl",
      { class: "keys" },
      KEYS.flatMap(([key, what]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, what)]),
    ),
  ];
}
