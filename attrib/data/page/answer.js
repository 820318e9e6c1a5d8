/* The answer: tokens coloured by verdict, gain under each, what base said; numbers of the selection. */

import { answerCount, at, backed, BLANK, CALLS, classOf, data, LABELS, leadsBlank, mapperNamed } from "./data.js";
import { mostGain, range } from "./data.js";
import { quotedSelection, sumOver, verbOf, verdictOf } from "./data.js";
import { button, byId, count, explained, make, number, percent, signed, visible } from "./dom.js";
import { change, clearSelection, listen, movingEnd, neighbour, select, state, unitAt } from "./state.js";
import { explainHover } from "./tip.js";

const UP = 15; // pixels of the tallest gain bar
const DOWN = 6; // and of the deepest loss
const LONG_WORD = 24; // characters from which a word may be broken
const MOST_ROWS = 100; // of the table of numbers
const MOST_BYTES = 12; // shown of a raw token
const MOST_RUNS = 4; // shared runs listed at first
const PALEST = 0.35; // a function word has its phrase's verdict, whatever its own probabilities

const GAIN_SAID =
  "Bars below the words: how much likelier tuning made each token, log p under tuned less that under base. A bit doubles the probability; below the line tuning made it less likely. Colours and lines of the words: where each comes from.";

const nodes = [];

export function mountAnswer() {
  const root = byId("answer");
  const text = make("div", {
    id: "answer-text",
    role: "listbox",
    "aria-multiselectable": "true",
    "aria-label": "Tokens of the answer",
    dir: "auto",
  });
  text.classList.toggle("long", answerCount > 400);
  text.append(...tokenNodes());
  const whose = { tuned: "by the tuned model", base: "by the base model", given: "as given" }[data.answerSource];
  root.append(
    make(
      "div",
      { class: "title" },
      make("h2", { id: "answer-title", tabindex: "-1" }, "Answer"),
      make("span", { class: "note" }, whose),
      legend(),
    ),
    answerCount ? text : "",
    ...whereFrom(),
    make("div", { id: "readout" }),
    make("div", { id: "backed", hidden: true }),
    make("div", {
      id: "numbers",
      class: "numbers",
      tabindex: "0",
      role: "region",
      "aria-label": "Numbers of the selected tokens",
      hidden: true,
    }),
  );
  byId("said").append(
    make("h2", { id: "said-title", class: "unseen" }, "What the models said, and shared words"),
    ...baseSaid(),
    ...tunedSaid(),
    ...tunedOtherwise(),
    ...sharedRuns(),
  );
  text.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault());
  text.addEventListener("click", pick);
  explainHover(text, ".token", (node) => tokenLines(Number(node.dataset.token)));
  listen(update);
}

/** A link, not a button: it breaks between words. */
function sectionLink(text, section) {
  const link = make("a", { href: "#sections", class: "named", title: "Show the section" }, text);
  link.addEventListener("click", (event) => {
    event.preventDefault();
    change({ section });
  });
  return link;
}

/** The sentence that says where the answer comes from; then how sure it is, in words counted and in numbers. */
function whereFrom() {
  const { label, counts, short, pieces, section, sure } = data.verdict;
  const named = (text) =>
    section < 0 ? make("strong", {}, text) : sectionLink(text, section);
  const parts = pieces.map(([text, role]) =>
    role === "section" ? named(text) : role === "quote" ? make("span", { class: "quoted" }, text) : text,
  );
  const beside = pieces.findIndex(([, role]) => role === "beside");
  const sentence = make(
    "div",
    { id: "sentence", class: classOf(label), dir: "auto" },
    make("p", {}, ...parts.slice(0, beside < 0 ? undefined : beside)),
    beside < 0 ? null : make("p", { class: "beside" }, ...parts.slice(beside)),
  );
  if (!sure.length) return [sentence];
  const bar = make("div", { class: "shares", "aria-hidden": "true" });
  CALLS.forEach((name, i) => {
    const part = make("span", { class: `part ${classOf(name)}` });
    part.style.flexGrow = String(counts[i]);
    if (counts[i]) bar.append(part);
  });
  const lines = sure.map(([name, text, help]) => [make("dt", {}, name), make("dd", { dir: "auto" }, text, " ", ...explained(help, name))]);
  return [
    sentence,
    bar,
    make(
      "details",
      { id: "sure" },
      make("summary", {}, make("b", {}, "How sure?"), ` ${short}`),
      make("dl", {}, ...lines.flat()),
    ),
  ];
}

function tokenNodes() {
  const pieces = [];
  for (const [first, last] of data.words) {
    const word = make("span", { class: "word" });
    const letters = data.tokens.slice(first, last + 1).reduce((n, token) => n + token.shown.length, 0);
    if (letters <= LONG_WORD) word.classList.add("whole");
    for (let i = first; i <= last; i++) {
      const { lead, body, breaks } = displayed(data.tokens[i]);
      if (lead && i === first) pieces.push(i > 0 ? lead : "");
      else if (lead) word.append(lead);
      word.append(tokenNode(i, body));
      if (breaks) word.append(make("br"));
    }
    pieces.push(word);
  }
  return pieces;
}

/** A token's leading blank (kept out of its colour), its visible text, and whether a line ends after it. */
function displayed(token) {
  const blank = leadsBlank(token);
  const body = (blank ? token.shown.slice(1) : token.shown).replaceAll(BLANK, token.shown.length > 1 ? " " : BLANK);
  return { lead: blank ? " " : "", body, breaks: token.text.includes("\n") };
}

function tokenNode(i, body) {
  const token = data.tokens[i];
  const gain = data.gainBits[i] ?? 0;
  // What cannot be told has no side to be sure of.
  const label = LABELS.indexOf(token.label);
  const node = make(
    "span",
    {
      class: `token ${classOf(token.label)}`,
      role: "option",
      "data-token": i,
      "aria-selected": "false",
      tabindex: "-1",
      "aria-label": `${body.trim() || token.shown}, ${token.label}`,
    },
    make("span", { class: "text" }, body),
  );
  node.style.setProperty("--sure", label < 0 ? 0.5 : Math.max(PALEST, at(data.tokenVerdict, 3 * i + label)).toFixed(2));
  node.style.setProperty("--up", `${Math.max(0, (gain / mostGain) * UP).toFixed(1)}px`);
  node.style.setProperty("--down", `${Math.max(0, (-gain / mostGain) * DOWN).toFixed(1)}px`);
  nodes[i] = node;
  return node;
}

function legend() {
  const chip = (label, line) =>
    make(
      "span",
      { class: "chip" },
      make("span", { class: `swatch ${classOf(label)}`, "aria-hidden": "true" }, "ab"),
      label,
      make("span", { class: "unseen" }, ` (${line})`),
    );
  return make(
    "div",
    { class: "legend", role: "group", "aria-label": "Verdicts and gain" },
    ...[
      ["documents", "solid line"],
      ["base", "dashed line"],
      ["neither", "dotted line"],
      ["cannot tell", "double line"],
    ]
      .filter(([label]) => data.tokens.some((token) => token.label === label))
      .map(([label, line]) => chip(label, line)),
    make(
      "span",
      { class: "chip" },
      make("span", { class: "gain-key", "aria-hidden": "true" }),
      `gain ${signed(Math.min(0, ...data.gainBits))} to ${signed(Math.max(0, ...data.gainBits))} bits`,
    ),
    ...explained(GAIN_SAID, "gain"),
  );
}

function pick(event) {
  const node = event.target.closest(".token");
  if (!node) return;
  const token = Number(node.dataset.token);
  const [first, last] = unitAt(token);
  if (state.first === first && state.last === last && !event.shiftKey) clearSelection();
  else select(token, event.shiftKey);
  node.focus({ preventScroll: true });
}

/** The button that leads back goes away: the focus goes to the answer. */
function leaveSection() {
  change({ section: -1 });
  focusAnswer();
}

function leaveTokens() {
  clearSelection();
  focusAnswer();
}

function focusAnswer() {
  nodes[marked.focusable]?.focus({ preventScroll: true });
}

/** ← and →, with shift to extend. */
export function step(direction, extend) {
  if (!answerCount) return;
  select(neighbour(direction, extend), extend);
  showToken(extend ? movingEnd() : direction > 0 ? state.last : state.first);
}

/** Home and End: the first or last token, with shift all up to it. */
export function leap(token, extend) {
  select(token, extend);
  showToken(token);
}

function showToken(token) {
  nodes[token].focus({ preventScroll: true });
  nodes[token].scrollIntoView({ block: "nearest" });
}

export function answerIsRightToLeft() {
  const text = byId("answer-text");
  return text ? getComputedStyle(text).direction === "rtl" : false;
}

let marked = { first: -1, last: -1, focusable: -1 };
let evidence = { sure: [], above: [] };

function update(changed) {
  if (changed.has("first") || changed.has("last")) {
    for (let i = Math.max(0, marked.first); i <= marked.last; i++)
      mark(i, i >= state.first && i <= state.last && state.first >= 0);
    for (let i = Math.max(0, state.first); i <= state.last; i++) mark(i, true);
    const focusable = Math.max(0, state.first);
    if (nodes.length) {
      if (marked.focusable >= 0) nodes[marked.focusable].tabIndex = -1;
      nodes[focusable].tabIndex = 0;
    }
    marked = { first: state.first, last: state.last, focusable };
  }
  if (changed.has("unit")) byId("answer-text")?.classList.toggle("by-word", state.unit === "word");
  if (["section", "mapper", "model"].some((name) => changed.has(name))) markBacked();
  if (["first", "last", "numbers"].some((name) => changed.has(name))) {
    readout();
    numbersTable();
  }
}

function mark(i, on) {
  if (!nodes[i]) return;
  nodes[i].classList.toggle("selected", on);
  nodes[i].setAttribute("aria-selected", String(on));
}

/** Section → the answer tokens that its score points at, with a line that says so and a way back. */
function markBacked() {
  for (const i of [...evidence.sure, ...evidence.above]) nodes[i].classList.remove("sure", "above");
  const chosen = state.section >= 0;
  const verb = chosen && mapperNamed(state.mapper) ? verbOf(mapperNamed(state.mapper), state.model, state.section) : null;
  evidence = verb ? backed(state.mapper, state.model, state.section) : { sure: [], above: [] };
  for (const i of evidence.sure) nodes[i].classList.add("sure");
  for (const i of evidence.above) nodes[i].classList.add("above");
  const line = byId("backed");
  line.hidden = !chosen;
  if (!chosen) return;
  line.replaceChildren(
    make(
      "span",
      {},
      make("strong", { dir: "auto" }, visible(data.sections[state.section].title)),
      ` ${backedSaid(verb)} ${verdictSaid([...evidence.sure, ...evidence.above])}`,
    ),
    button(
      "✕ Back",
      { class: "quiet", "aria-label": "Back: unmark the section's tokens", "aria-keyshortcuts": "Escape" },
      leaveSection,
    ),
  );
}

function backedSaid(verb) {
  if (!verb) return "has a score that does not look at the answer: no token is marked.";
  const model = state.model === "base" ? "base" : "tuned";
  const mapper = mapperNamed(state.mapper);
  const { noDots } = model === "base" ? mapper.base : (mapper.tuned ?? mapper.base);
  if (noDots) return `marks nothing (${noDots}).`;
  const chance = `more than control texts and other sections (q < ${data.settings.significant}, ${model})`;
  const [sure, above] = [evidence.sure.length, evidence.above.length];
  if (!sure && !above) return `stands out from the control texts at no token (${model}).`;
  if (!sure) return `${verb} no token ${chance}; at ${count(above, "token")} it is above every control text.`;
  return `${verb} ${count(sure, "token")} ${chance}${above ? `; at ${above} more it is above every control text` : ""}.`;
}

/** The verdict where it is not the documents: a section's score alone must not be read as one. */
function verdictSaid(tokens) {
  const counts = CALLS.slice(1).map((label) => [label, tokens.filter((i) => data.tokens[i].label === label).length]);
  const said = counts.filter(([, n]) => n > 0).map(([label, n]) => `${label} at ${n} of ${count(tokens.length, "token")}`);
  if (answerCount && !["documents", "mixed"].includes(data.verdict.label)) said.push(`${data.verdict.label} for the whole answer`);
  return said.length ? `Verdict: ${said.join(", ")}.` : "";
}

function facts(first, last) {
  const rank = (ranks) => (first >= 0 && first === last ? (ranks[first] + 1).toLocaleString("en") : null);
  const bits = (values) => sumOver(values, first, last);
  const entries = [
    ["gain", `${signed(bits(data.gainBits))} bits`],
    ["log p", `${number(bits(data.logpBase))} → ${number(bits(data.logpTuned))} bits`],
  ];
  if (rank(data.rankBase)) entries.push(["rank", `${rank(data.rankBase)} → ${rank(data.rankTuned)}`]);
  return entries;
}

function sharesSaid(first, last) {
  const shares = verdictOf(first, last);
  return LABELS.map((label, i) => `${label} ${percent(shares[i])}`).join(" · ");
}

function readout() {
  const { first, last } = state;
  if (first < 0)
    return byId("readout").replaceChildren(
      make("div", {}, make("span", { class: "hint" }, "Next: click a word, or press →, for its sections and the words of the prompt behind it.")),
    );
  return byId("readout").replaceChildren(
    make(
      "div",
      {},
      make("span", { class: "what", dir: "auto" }, quotedSelection(first, last)),
      make("span", {}, sharesSaid(first, last)),
      button("✕ Whole answer", { class: "quiet", "aria-keyshortcuts": "Escape" }, leaveTokens),
    ),
    make(
      "div",
      {},
      facts(first, last).map(([name, value]) => make("span", {}, make("span", { class: "key" }, name), ` ${value}`)),
    ),
  );
}

function tokenLines(i) {
  const token = data.tokens[i];
  return [
    `“${token.shown}” · id ${token.id} · ${bytes(token.text)}`,
    `${token.label}: ${sharesSaid(i, i)}`,
    `log p ${number(data.logpBase[i])} → ${number(data.logpTuned[i])} bits, gain ${signed(data.gainBits[i])} bits`,
    `rank ${data.rankBase[i] + 1} → ${data.rankTuned[i] + 1}, entropy ${number(data.entropyBase[i])} → ${number(data.entropyTuned[i])} bits`,
    `backed by a learned section: ${number(data.support[i])}`,
  ];
}

/** A raw token's bytes in UTF-8, the first of them; a token that is only a part of a character has no text. */
function bytes(text) {
  if (!text) return "part of a character";
  const all = Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, "0"));
  return `bytes ${all.slice(0, MOST_BYTES).join(" ")}${all.length > MOST_BYTES ? " …" : ""}`;
}

const COLUMNS = [
  "token",
  "id",
  ...LABELS,
  "gain, bits",
  "log p base, bits",
  "log p tuned, bits",
  "rank base",
  "rank tuned",
  "entropy base, bits",
  "entropy tuned, bits",
  "support",
];

function numbersTable() {
  const box = byId("numbers");
  box.hidden = !state.numbers;
  if (!state.numbers) return;
  const all = state.first < 0 ? range(0, answerCount - 1) : range(state.first, state.last);
  const rows = all.slice(0, MOST_ROWS).map((i) =>
    make(
      "tr",
      {},
      make("th", { scope: "row", dir: "auto" }, data.tokens[i].shown),
      [
        data.tokens[i].id,
        ...verdictOf(i, i).map((share) => percent(share)),
        signed(data.gainBits[i]),
        ...[data.logpBase, data.logpTuned].map((values) => number(values[i])),
        ...[data.rankBase, data.rankTuned].map((values) => values[i] + 1),
        ...[data.entropyBase, data.entropyTuned, data.support].map((values) => number(values[i])),
      ].map((value) => make("td", {}, String(value))),
    ),
  );
  const more = all.length - rows.length;
  box.replaceChildren(
    make(
      "table",
      {},
      make(
        "thead",
        {},
        make(
          "tr",
          {},
          COLUMNS.map((name) => make("th", { scope: "col" }, name)),
        ),
      ),
      make("tbody", {}, rows),
    ),
    more > 0
      ? make("p", { class: "note" }, `${count(more, "token")} more: select some to see theirs, or save the JSON.`)
      : "",
  );
}

/** Base's own answer, its differences marked; a part that both have selects it in the answer. */
function baseSaid() {
  const text = saidBox("What base said by itself");
  for (const [kind, words, first, last] of data.baseAligned) {
    const shown = visible(words);
    const lead = shown.length - shown.trimStart().length;
    if (text.childNodes.length && !(first < 0 && kind === "answer")) text.append(shown.slice(0, lead));
    if (kind === "base") text.append(make("span", { class: "only-base" }, shown.slice(lead)));
    else if (first < 0) text.append(kind === "same" ? shown.slice(lead) : "");
    else if (kind === "same")
      text.append(
        link("same", shown.slice(lead), first, last, `“${shown.trim()}”: base says it too; select it in the answer`),
      );
    else
      text.append(
        link("only-answer", "▲", first, last, `only in the explained answer: “${shown.trim()}”; select it there`),
      );
  }
  if (!data.baseAnswer.trim()) text.append(make("em", {}, "nothing"));
  return [
    make(
      "h3",
      {},
      "Base said",
      make(
        "span",
        { class: "note" },
        " by itself; ",
        make("span", { class: "only-base" }, "marked"),
        " = only there, ▲ = only in the answer",
      ),
    ),
    text,
  ];
}

/** The tuned model's own answer, where another one is explained. */
function tunedSaid() {
  if (data.answerSource === "tuned") return [];
  const text = saidBox("What tuned said by itself");
  text.append(data.tunedAnswer.trim() ? visible(data.tunedAnswer) : make("em", {}, "nothing"));
  return [make("h3", {}, "Tuned said", make("span", { class: "note" }, " by itself; it is not explained here")), text];
}

/** What the model says when it is tuned without sections, or on them alone. */
function tunedOtherwise() {
  if (!data.otherwise.length) return [];
  const lines = data.otherwise.map((line) => make("p", { dir: "auto" }, line));
  return [make("h3", {}, "Tuned otherwise"), ...lines];
}

/** A box for a model's answer; where it scrolls, keys reach it. */
function saidBox(name) {
  const box = make("p", { class: "base-said", dir: "auto", role: "group", "aria-label": name });
  new ResizeObserver(() => {
    if (box.scrollHeight > box.clientHeight + 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }).observe(box);
  return box;
}

function link(kind, shown, first, last, label) {
  return button(shown, { class: `inline ${kind}`, "aria-label": label, title: label }, () =>
    change({ first, last, anchor: first }),
  );
}

/** Word runs that the answer shares with the documents. */
function sharedRuns() {
  if (!data.verbatim.length) return [];
  const list = make("ul", { class: "runs" });
  const fill = (most) =>
    list.replaceChildren(
      ...data.verbatim.slice(0, most).map(runItem),
      data.verbatim.length > most
        ? make(
            "li",
            {},
            button(`${data.verbatim.length - most} more`, { class: "quiet" }, () => fill(Infinity)),
          )
        : "",
    );
  fill(MOST_RUNS);
  return [
    make("h3", {}, "Word for word", make("span", { class: "note" }, " runs of the answer that documents hold too")),
    list,
  ];
}

function runItem(run) {
  const [first, last] = run.tokens.length ? [Math.min(...run.tokens), Math.max(...run.tokens)] : [-1, -1];
  const where = run.sections.length ? data.sections[run.sections[0]].title : "";
  const doubts = [run.inQuestion ? "the question says it too" : "", run.inControl ? "control texts say it too" : ""]
    .filter(Boolean)
    .join("; ");
  return make(
    "li",
    {},
    button(`“${visible(run.text)}”`, { class: "inline", dir: "auto", title: "Select it in the answer" }, () =>
      change({ first, last, anchor: first, ...(run.sections.length ? { section: run.sections[0] } : {}) }),
    ),
    make(
      "span",
      { class: "note" },
      ` in ${count(run.sectionsTotal, "section")}${where ? `, e.g. ${visible(where)}` : ""}${doubts ? ` (${doubts})` : ""}`,
    ),
  );
}
