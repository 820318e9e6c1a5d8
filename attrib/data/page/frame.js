/* What stands around the views: question and verdict above, provenance below, theme and help. */

import { isDark, setTheme } from "./colours.js";
import { data, LABELS } from "./data.js";
import { button, byId, count, make, number, percent, visible, wholePercent } from "./dom.js";
import { copy } from "./exports.js";
import { change, state } from "./state.js";
import { storeTheme } from "./theme.js";

const LONG_QUESTION = 160; // characters from which it is set smaller

export function mountFrame() {
  const home = data.live?.home ?? data.home;
  if (home) byId("brand").replaceWith(make("a", { id: "brand", class: "brand", href: home }, "attrib"));
  byId("question").textContent = visible(data.question);
  byId("question").classList.toggle("long", data.question.length > LONG_QUESTION);
  byId("verdict").append(...verdict(), ...data.notes.map((line) => make("p", { class: "warning" }, visible(line))));
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

const DRAWN_AGAIN = "95% interval if the answer's words were drawn again; how often the judge errs is not in it";

function verdict() {
  const { percents, shares, sharesLow, sharesHigh, sharesWords, label, said: notSaid, promise } = data.verdict;
  const bar = make("div", { class: "shares", "aria-hidden": "true" });
  const figures = LABELS.map((name, i) => {
    const part = make("span", { class: `part ${name}` });
    part.style.flexGrow = String(percents[i]);
    if (percents[i] > 0) bar.append(part);
    const [low, high] = [percent(sharesLow[i]), percent(sharesHigh[i])];
    const interval = low === high && /[<>]/.test(low) ? `[${low}]` : `[${low.replace("%", "")}–${high}]`;
    return make(
      "div",
      { class: "figure" },
      make("span", { class: `swatch ${name}`, "aria-hidden": "true" }, "  "),
      make("span", { class: "name" }, name),
      make("b", {}, wholePercent(percents[i], shares[i])),
      make("span", { class: "interval", title: DRAWN_AGAIN }, sharesLow[i] === null ? "" : interval),
    );
  });
  return [
    make("div", { class: "figures-row" }, ...figures, make("div", { class: "bits" }, ...bits())),
    bar,
    make("p", { class: "call" }, ...called(label)),
    notSaid ? make("p", { class: "warning not-said" }, `${notSaid}.`) : "",
    make("p", { class: "note promise" }, `${promise}.`),
    make("p", { class: "note" }, ...said(sharesWords, sharesLow[0] !== null)),
  ];
}

/** Where the list scrolls by itself, it ends above the map, whatever of the header is still on the screen. */
export function fitList() {
  const list = byId("sections");
  const fit = () => {
    const above = Math.max(
      byId("toolbar").offsetHeight + 8,
      document.querySelector("main").getBoundingClientRect().top + 12,
    );
    const below = byId("minimap")?.offsetHeight ?? 0;
    list.style.setProperty("--room", `${Math.max(360, window.innerHeight - above - below - 12)}px`);
  };
  for (const event of ["scroll", "resize"])
    window.addEventListener(event, () => requestAnimationFrame(fit), { passive: true });
  if (byId("minimap")) new ResizeObserver(fit).observe(byId("minimap"));
  fit();
}

/** How much of base's surprise at the answer tuning took away. */
function bits() {
  const { gainBits, baseBits } = data.verdict;
  if (!Number.isFinite(baseBits)) return [];
  if (gainBits < 0)
    return [
      make("b", {}, `${number(-gainBits)} bits`),
      " more surprised after tuning ",
      make("span", { class: "interval" }, `(${number(baseBits)} before)`),
    ];
  return [make("b", {}, `${number(gainBits)} of ${number(baseBits)} bits`), " from tuning"];
}

/** The verdict on the answer as a whole: from its own probabilities, not from the shares of its words. */
function called(label) {
  const { whole, floor, threshold } = data.verdict;
  const chance = `documents ${percent(whole[0])} · base ${percent(whole[1])} · neither ${percent(whole[2])}`;
  const why =
    label === "cannot tell" ? `; documents needs more than ${percent(threshold)}, base or neither less than ${percent(floor)} documents` : "";
  return ["The answer as a whole: ", make("b", {}, label), make("span", { class: "interval" }, ` ${chance}${why}`)];
}

function said(words, interval) {
  const { nullP, nullSection, controls } = data.verdict;
  const why = interval ? ` [${DRAWN_AGAIN}]` : ": too few words for an interval";
  const parts = [
    `Shares of the answer's ${count(words, "word")}${why}.`,
  ];
  if (nullP !== null) {
    const section =
      nullSection === null
        ? "the section most like it"
        : `“${visible(data.sections[nullSection].title)}”, the section most like question and answer,`;
    parts.push(
      ` Null: a text never trained on gains as much from tuning as ${section} does with p = ${number(nullP)} (${count(controls, "control text")}).`,
    );
  } else if (!controls) parts.push(" No null: the record has no control texts.");
  else parts.push(" No null: the record does not say which section is most like question and answer.");
  return parts;
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
      "“looked at” is attention; “says the same” is similarity, which is not influence; “was learned” is of the section's own text, whatever the answer; “learned from” is an estimate. Only retraining without a section shows what it caused.",
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
      "Every token of the answer is judged: did it come from the fine-tuning documents, from what the base model knew, or from neither? Where the evidence is too weak for any of these, the verdict is that it cannot tell. Select tokens to see which words of the prompt they rest on and which sections stand behind them; select a section to see the tokens that it says the same as or, by an estimate, may have taught.",
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
