/* The prompt as heat: how far each of its tokens bears on the selected part of the answer. */

import { gradient, paint } from "./colours.js";
import { answerCount, at, BLANK, data, headScores, methodNamed, promptCount, promptScores, range } from "./data.js";
import { quotedSelection, reduce } from "./data.js";
import { byId, count, explained, make, number, percent, signed } from "./dom.js";
import { change, listen, state } from "./state.js";
import { explainHover } from "./tip.js";

const RECENT = 60; // earlier answer tokens shown one by one
const MOST_CELLS = 100; // of the table of numbers

const isTemplate = data.prompt.map((token) => token.template);
const taught = new Set(data.vocabulary?.tokens ?? []);
const wordOf = new Map();
data.promptWords.forEach((members, word) => members.forEach((position) => wordOf.set(position, word)));
let cells = [];
let builtFor = "";
let drawn = null;

export function mountPrompt() {
  const root = byId("prompt");
  root.append(
    make(
      "div",
      { class: "title" },
      make("h2", { id: "prompt-title" }, "Prompt"),
      make("span", { id: "method-menu" }),
      make("div", { class: "legend", id: "prompt-scale" }),
      make("span", { class: "note", id: "prompt-what", dir: "auto" }),
    ),
    make("div", { id: "prompt-text", dir: "auto" }),
    make("p", { id: "prompt-where", class: "note strong" }),
    make("div", { id: "prompt-earlier" }),
    make("div", {
      id: "prompt-numbers",
      class: "numbers",
      tabindex: "0",
      role: "region",
      "aria-label": "Scores of the prompt's tokens",
      hidden: true,
    }),
    make("div", { id: "prompt-notes" }),
  );
  byId("prompt-text").addEventListener("click", (event) => {
    const cell = event.target.closest("[data-column]");
    if (!cell || !data.heads) return;
    const position = drawn.columns[Number(cell.dataset.column)][0];
    change({ focus: position === state.focus || position >= promptCount ? -1 : position });
  });
  explainHover(root, "[data-column]", cellLines);
  listen((changed) => {
    if (
      ["first", "last", "model", "method", "layer", "head", "numbers", "theme", "focus"].some((name) =>
        changed.has(name),
      )
    )
      drawPrompt();
  });
}

/** Is one layer or head chosen, so that its attention is shown instead of a method's scores? */
export function showsHeads() {
  return data.heads !== null && (state.layer >= 0 || state.head >= 0);
}

function kind() {
  if (!showsHeads()) return methodNamed(state.method);
  const attention = methodNamed("attention");
  return {
    label: headLabel(),
    unit: "attention",
    signed: false,
    says: "looked at",
    fold: "sum",
    reduction: "mean",
    gapNote: "",
    gapBroken: "",
    meaning: `attention of ${headLabel()}`,
    caveat: attention?.caveat ?? "Attention is not cause: it shows where the model looked.",
  };
}

export function headLabel() {
  const layer = state.layer < 0 ? "all layers" : `layer ${state.layer}`;
  if (data.heads?.reduced) return `${layer}, mean over heads`;
  return `${layer}, ${state.head < 0 ? "mean over heads" : `head ${state.head}`}`;
}

function drawPrompt() {
  const method = kind();
  if (!method) {
    byId("prompt-text").replaceChildren(
      ...data.prompt.map(plainToken),
    );
    byId("prompt-what").textContent = "this record has no prompt scores: explain with --methods";
    return;
  }
  const found = inWords(
    showsHeads()
      ? headScores(state.layer, state.head, state.first, state.last)
      : promptScores(method, state.first, state.last),
    method,
  );
  build(found.columns, showsHeads() ? "heads" : method.name);
  const centred = method.signed || state.model === "difference";
  const values = found[state.model];
  const limit = scaleLimit(found);
  drawn = { ...found, values, method, centred, limit };
  cells.forEach((cell, column) => cell && paintCell(cell, values[column]));
  sayPrompt(method, centred, limit);
  drawEarlier();
  drawNumbers();
}

/**
 * The scores of the question's words, of the whole template and of earlier answer tokens, as shares of all |score| in
 * their model: base and tuned can be compared whatever the unit and however sure a model is.
 */
function inWords(found, method) {
  const groups = new Map();
  found.columns.forEach((members, column) => {
    const first = members[0];
    const name = first >= promptCount ? `a${column}` : members.every((i) => isTemplate[i]) ? "template" : `w${wordOf.get(first) ?? column}`;
    groups.set(name, [...(groups.get(name) ?? []), column]);
  });
  const side = (scores) => {
    const sums = [...groups.values()].map((columns) => reduce(columns.map((i) => scores[i]), method.fold));
    const total = sums.reduce((sum, value) => sum + (Math.abs(value) || 0), 0);
    return sums.map((value) => (total ? value / total : 0));
  };
  const [base, tuned] = [side(found.base), side(found.tuned)];
  const columns = [...groups.values()].map((own) => own.flatMap((column) => found.columns[column]));
  return { ...found, columns, base, tuned, difference: tuned.map((value, i) => value - base[i]) };
}

/** A share with its sign where it has one: `+12%`; the difference in points. */
function shareText(value, centred) {
  return `${centred ? signed(100 * value) : number(100 * value)}%`;
}

/** Largest |score| outside the template, over base and tuned (the difference: of itself); the template may exceed it. */
function scaleLimit(found) {
  const sides = state.model === "difference" ? [found.difference] : [found.base, found.tuned];
  let most = 0;
  found.columns.forEach((members, column) => {
    if (members[0] < promptCount && isTemplate[members[0]]) return;
    for (const side of sides) most = Math.max(most, Math.abs(side[column]) || 0);
  });
  return most || 1;
}

function paintCell(cell, value) {
  paint(cell, value / drawn.limit, drawn.centred);
  cell.classList.toggle("beyond", Math.abs(value) > drawn.limit * 1.0001);
  if (cell.classList.contains("folded")) {
    cell.textContent = `template ${percent(Math.abs(value))}`;
    paint(cell, 0, drawn.centred);
    return;
  }
  if (state.numbers) cell.dataset.number = shareText(value, drawn.centred);
  else delete cell.dataset.number;
  cell.classList.toggle("focus", drawn.columns[Number(cell.dataset.column)].includes(state.focus));
}

/** One element a column; tokens that no column covers stay plain. */
function build(columns, name) {
  if (builtFor === name) return;
  builtFor = name;
  const columnOf = new Map();
  columns.forEach((members, column) => members.forEach((position) => columnOf.set(position, column)));
  cells = new Array(columns.length).fill(null);
  const pieces = [];
  const template = columns.findIndex((members) => members[0] < promptCount && isTemplate[members[0]]);
  if (template >= 0) {
    cells[template] = make("span", { class: "cell template folded", "data-column": template });
    pieces.push(cells[template], " ");
  }
  data.prompt.forEach((token, position) => {
    // The chat template is one chip.
    if (token.template) return;
    const column = columnOf.get(position);
    const text = shownText(token);
    if (column === undefined) {
      pieces.push(plainToken(token));
    } else if (cells[column]) {
      cells[column].append(text);
    } else {
      const lead = text.startsWith(" ") ? " " : "";
      cells[column] = make("span", { class: "cell", "data-column": column }, text.slice(lead.length));
      if (taught.has(position)) cells[column].classList.add("taught");
      pieces.push(pieces.length ? lead : "", cells[column]);
    }
  });
  byId("prompt-text").replaceChildren(...pieces);
}

/** A token without a score. */
function plainToken(token) {
  return make("span", { class: token.template ? "template" : null }, shownText(token));
}

function shownText(token) {
  return token.shown.length > 1 ? token.shown.replaceAll(BLANK, " ") : token.shown;
}

function sayPrompt(method, centred, limit) {
  const model = state.model === "difference" ? "tuned − base" : state.model;
  byId("prompt-what").replaceChildren(
    make("b", {}, method.says),
    ` for ${quotedSelection(state.first, state.last)} · ${method.label} · ${model}`,
  );
  byId("prompt-scale").replaceChildren(
    ...scaleParts(centred, limit, (value) => shareText(value, centred)),
    make("span", { class: "note" }, state.model === "difference" ? "tuned − base" : "of all |score|"),
  );
  byId("prompt-where").textContent = where();
  const notes = [
    `${sentence(method.meaning)} (${method.unit}); shown as shares of all |score| under each model. ${method.caveat}`,
  ];
  if (method.gapNote) notes.push(`${sentence(method.gapNote)}.`);
  const outside = (token) => token < state.first || token > state.last;
  if (state.first >= 0 && !showsHeads() && drawn.rows.some((row) => method.rows[row].some(outside)))
    notes.push("This method scores several answer tokens at once: the selection's scores are those of them all.");
  byId("prompt-notes").replaceChildren(
    method.gapBroken
      ? make("p", { class: "warning" }, `${sentence(method.gapBroken)}: read these scores with care.`)
      : "",
    make("p", { class: "note" }, "What the shades say ", ...explained(notes.join(" "), method.label)),
    ...vocabularyLines(),
  );
}

/** The colour scale between its ends: 0 … limit, or −limit … limit where `centred`. */
export function scaleParts(centred, limit, text = (value) => (centred ? signed(value) : number(value))) {
  const bar = make("span", { class: "scale", role: "img", "aria-label": "colour scale" });
  bar.style.background = gradient(centred);
  return [
    make("span", {}, centred ? text(-limit) : "0"),
    bar,
    make("span", {}, text(limit)),
  ];
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** How |score| is spread over question, template and the answer so far, those that the method scores at all. */
function where() {
  const sums = new Map();
  drawn.columns.forEach((members, column) => {
    const place = placeOf(members[0]);
    sums.set(place, (sums.get(place) ?? 0) + (Math.abs(drawn.values[column]) || 0));
  });
  const there = new Set([...range(0, promptCount - 1).map(placeOf), placeOf(promptCount)]);
  const left = [...there].filter((place) => !sums.has(place)).sort();
  const unscored = left.length ? `; not scored: ${left.join(", ")}` : "";
  const total = [...sums.values()].reduce((a, b) => a + b, 0);
  if (!total) return `All scores of this selection are zero${unscored}.`;
  const beyond = cells.some((cell) => cell?.classList.contains("beyond")) ? "; hatched: beyond the scale" : "";
  if (sums.size === 1) return `Scored: ${[...sums.keys()][0]} alone${unscored}${beyond}`;
  const parts = PLACES.filter((place) => place !== "template" && sums.get(place) > 0).map((place) => `${place} ${percent(sums.get(place) / total)}`);
  return `Of all ${state.model === "difference" ? "change" : "|score|"}: ${parts.join(" · ")}${unscored}${beyond}`;
}

const PLACES = ["question", "template", "answer so far"];

function placeOf(position) {
  return PLACES[position >= promptCount ? 2 : isTemplate[position] ? 1 : 0];
}

/** A column's tokens, the first of them. */
function nameOf(members) {
  return members
    .slice(0, 8)
    .map((position) => (data.prompt[position] ?? data.tokens[position - promptCount])?.shown ?? "")
    .concat(members.length > 8 ? ["…"] : [])
    .join("");
}

/** Base, tuned and difference of every column that is seen: what the tooltip says, for those without a pointer. */
function drawNumbers() {
  const box = byId("prompt-numbers");
  box.hidden = !state.numbers;
  if (!state.numbers) return;
  const end = promptCount + (state.first < 0 ? 0 : state.last);
  const seen = range(0, drawn.columns.length - 1).filter((column) => drawn.columns[column][0] < end);
  const size = (column) => Math.max(Math.abs(drawn.base[column]) || 0, Math.abs(drawn.tuned[column]) || 0);
  const kept = [...seen].sort((a, b) => size(b) - size(a)).slice(0, MOST_CELLS);
  const cell = (value) => make("td", {}, value);
  const rows = kept
    .sort((a, b) => a - b)
    .map((column) =>
      make(
        "tr",
        {},
        make("th", { scope: "row", dir: "auto" }, nameOf(drawn.columns[column])),
        cell(placeOf(drawn.columns[column][0])),
        cell(shareText(drawn.base[column], drawn.method.signed)),
        cell(shareText(drawn.tuned[column], drawn.method.signed)),
        cell(shareText(drawn.difference[column], true)),
      ),
    );
  const heads = ["word", "place", "base", "tuned", "tuned − base"].map((name) => make("th", { scope: "col" }, name));
  box.replaceChildren(
    make("table", {}, make("thead", {}, make("tr", {}, heads)), make("tbody", {}, rows)),
    seen.length > rows.length
      ? make("p", { class: "note" }, `${count(seen.length - rows.length, "word")} with smaller scores are left out.`)
      : "",
  );
}

/** Earlier answer tokens, which later ones rest on too. */
function drawEarlier() {
  const box = byId("prompt-earlier");
  const end = state.first < 0 ? -1 : state.last;
  const late = drawn.columns
    .map((members, column) => [members, column])
    .filter(([members]) => members[0] >= promptCount && members[0] - promptCount < end);
  if (!late.length) return box.replaceChildren();
  const shown = late.slice(-RECENT).filter(([members]) => members.length === 1);
  const pieces = shown.map(([members, column]) => {
    const cell = make(
      "span",
      { class: "cell", "data-column": column },
      data.tokens[members[0] - promptCount]?.shown.replaceAll(BLANK, " ").trimStart() || BLANK,
    );
    paintCell(cell, drawn.values[column]);
    return [" ", cell];
  });
  const rest = together(late.filter((entry) => !shown.includes(entry)).map(([, column]) => column));
  const folded =
    late.length > shown.length
      ? ` (${shown.length ? "those before it together" : "all earlier answer tokens together"}: ${shareText(rest, drawn.centred)})`
      : "";
  return box.replaceChildren(make("span", { class: "note" }, `Answer so far${folded}`), ...pieces.flat());
}

/** The score of several columns together, as the method puts columns together. */
function together(columns) {
  const side = (scores) =>
    reduce(
      columns.map((column) => scores[column]),
      drawn.method.fold,
    );
  return state.model === "difference" ? side(drawn.tuned) - side(drawn.base) : side(drawn[state.model]);
}

function vocabularyLines() {
  const lines = [];
  if (data.vocabulary?.words.length)
    lines.push(
      make(
        "p",
        { class: "note" },
        make("span", { class: "taught" }, "Underlined"),
        " words of the question are the documents' own vocabulary.",
      ),
    );
  const own = showsHeads() ? [] : data.shares.filter((share) => share.method === methodNamed(state.method)?.label);
  if (!data.shares.length) return lines;
  // The p of a share rules out chance only: many methods would have one below the limit by chance alone.
  const limit = data.settings.significant / data.shares.length;
  const found = data.shares.filter((share) => at(share.pDifference, 0) < limit);
  const said = found.length
    ? `Tuning moved the focus on the documents' words beyond chance: ${found.map((share) => share.method).join(", ")}`
    : "No method's focus on the documents' words differs from chance";
  // One row of scores has its own shares; of several rows only the whole answer's are known.
  const row = state.first >= 0 && drawn.rows?.length === 1 ? drawn.rows[0] + 1 : 0;
  lines.push(
    make(
      "details",
      { class: "note" },
      make("summary", {}, `${said}.`),
      ...own.map((share) => make("p", {}, shareLine(share, row))),
    ),
  );
  return lines;
}

function shareLine(share, row) {
  const [of, p] = [(name) => percent(at(share[name], row)), (name) => number(at(share[name], row))];
  return (
    `${row ? "These scores" : "The whole answer"}: share of the question's scores on the documents' ${share.kind} (${percent(share.tokenShare)} of its tokens): ` +
    `base ${of("base")} (chance ${of("expectedBase")}, p ${p("pBase")}), ` +
    `tuned ${of("tuned")} (chance ${of("expectedTuned")}, p ${p("pTuned")}); difference p ${p("pDifference")}.`
  );
}

function cellLines(cell) {
  const column = Number(cell.dataset.column);
  const members = drawn.columns[column];
  const id = members.length === 1 && members[0] < promptCount ? ` · id ${data.prompt[members[0]].id}` : "";
  return [
    `“${nameOf(members)}”${id}`,
    `base ${shareText(drawn.base[column], drawn.method.signed)} · tuned ${shareText(drawn.tuned[column], drawn.method.signed)} · Δ ${shareText(drawn.difference[column], true)} of all |score|`,
    ...(members[0] >= promptCount && members[0] - promptCount < answerCount ? ["earlier in the answer"] : []),
  ];
}
