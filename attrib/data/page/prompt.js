/* The prompt as heat: how far each of its tokens bears on the selected part of the answer. */

import { gradient, paint } from "./colours.js";
import { answerCount, BLANK, data, headScores, methodNamed, promptCount, promptScores, selectionText } from "./data.js";
import { byId, make, number, percent, signed } from "./dom.js";
import { change, listen, state } from "./state.js";
import { explainHover } from "./tip.js";

const RECENT = 60; // earlier answer tokens shown one by one

const isTemplate = data.prompt.map((token) => token.template);
const taught = new Set(data.vocabulary?.tokens ?? []);
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
      make("div", { class: "legend", id: "prompt-scale" }),
      make("span", { class: "note", id: "prompt-what", dir: "auto" }),
    ),
    make("div", { id: "prompt-text", dir: "auto" }),
    make("p", { id: "prompt-where", class: "note strong" }),
    make("div", { id: "prompt-earlier" }),
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

export function drawPrompt() {
  const method = kind();
  if (!method) {
    byId("prompt-text").replaceChildren(
      ...data.prompt.map((token) => make("span", { class: token.template ? "template" : "" }, shownText(token))),
    );
    byId("prompt-what").textContent = "this record has no prompt scores: explain with --methods";
    return;
  }
  const found = showsHeads()
    ? headScores(state.layer, state.head, state.first, state.last)
    : promptScores(method, state.first, state.last);
  build(found.columns, showsHeads() ? "heads" : method.name);
  const centred = method.signed || state.model === "difference";
  const values = found[state.model];
  const limit = scaleLimit(found);
  drawn = { ...found, values, method, centred, limit };
  cells.forEach((cell, column) => cell && paintCell(cell, values[column]));
  sayPrompt(method, centred, limit);
  drawEarlier();
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
  if (state.numbers) cell.dataset.number = number(value);
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
  data.prompt.forEach((token, position) => {
    // The question stands on lines of its own, the template runs on.
    if (position > 0 && token.template !== data.prompt[position - 1].template) pieces.push(make("br"));
    const column = columnOf.get(position);
    const text = shownText(token);
    if (column === undefined) {
      pieces.push(make("span", { class: token.template ? "template plain" : "plain" }, text));
    } else if (cells[column]) {
      cells[column].append(text);
    } else {
      const lead = text.startsWith(" ") ? " " : "";
      cells[column] = make("span", { class: "cell", "data-column": column }, text.slice(lead.length));
      if (token.template) cells[column].classList.add("template");
      if (taught.has(position)) cells[column].classList.add("taught");
      pieces.push(pieces.at(-1)?.tagName === "BR" ? "" : lead, cells[column]);
    }
  });
  byId("prompt-text").replaceChildren(...pieces);
}

function shownText(token) {
  return token.shown.length > 1 ? token.shown.replaceAll(BLANK, " ") : token.shown;
}

function sayPrompt(method, centred, limit) {
  const selected = selectionText(state.first, state.last);
  const model = state.model === "difference" ? "tuned − base" : state.model;
  byId("prompt-what").replaceChildren(
    make("b", {}, method.says),
    ` for ${state.first < 0 ? selected : `‹${selected}›`} · ${method.label} · ${model}`,
  );
  const bar = make("span", { class: "scale", role: "img", "aria-label": "colour scale" });
  bar.style.background = gradient(centred);
  byId("prompt-scale").replaceChildren(
    make("span", {}, centred ? signed(-limit) : "0"),
    bar,
    make("span", {}, centred ? signed(limit) : number(limit)),
    make("span", { class: "note" }, state.model === "difference" ? "tuned − base" : method.unit),
  );
  byId("prompt-where").textContent = where();
  const notes = [`${sentence(method.meaning)}. ${method.caveat}`];
  if (method.gapNote) notes.push(`${sentence(method.gapNote)}.`);
  const wide = drawn.rows.length && !showsHeads() && state.first >= 0 ? method.rows[drawn.rows[0]].length : 1;
  if (wide > state.last - state.first + 1)
    notes.push("This method scores several answer tokens at once: the selection's scores are those of them all.");
  byId("prompt-notes").replaceChildren(
    method.gapBroken
      ? make("p", { class: "warning" }, `${sentence(method.gapBroken)}: read these scores with care.`)
      : "",
    ...notes.map((note) => make("p", { class: "note" }, note)),
    ...vocabularyLines(),
  );
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** How |score| is spread over question, template and the answer so far. */
function where() {
  const sums = { question: 0, template: 0, "the answer so far": 0 };
  drawn.columns.forEach((members, column) => {
    const place = members[0] >= promptCount ? "the answer so far" : isTemplate[members[0]] ? "template" : "question";
    sums[place] += Math.abs(drawn.values[column]) || 0;
  });
  const total = Object.values(sums).reduce((a, b) => a + b, 0);
  if (!total) return "All scores of this selection are zero.";
  const parts = Object.entries(sums).filter(([, sum]) => sum > 0);
  const beyond = cells.some((cell) => cell?.classList.contains("beyond")) ? "; hatched: beyond the scale" : "";
  return `Of all ${state.model === "difference" ? "change" : "|score|"}: ${parts.map(([name, sum]) => `${name} ${percent(sum / total)}`).join(" · ")}${beyond}`;
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
  const rest = late
    .filter((entry) => !shown.includes(entry))
    .reduce((sum, [, column]) => sum + drawn.values[column], 0);
  const folded =
    late.length > shown.length
      ? ` (${shown.length ? "those before it together" : "all earlier answer tokens together"}: ${number(rest)})`
      : "";
  return box.replaceChildren(make("span", { class: "note" }, `Answer so far${folded}`), ...pieces.flat());
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
  const label = showsHeads() ? "" : methodNamed(state.method)?.label;
  for (const share of data.shares.filter((share) => share.method === label)) {
    lines.push(
      make(
        "p",
        { class: "note" },
        `Share of the question's scores on the documents' ${share.kind} (${percent(share.tokenShare)} of its tokens): ` +
          `base ${percent(share.base)} (chance ${percent(share.expectedBase)}, p ${number(share.pBase)}), ` +
          `tuned ${percent(share.tuned)} (chance ${percent(share.expectedTuned)}, p ${number(share.pTuned)}); difference p ${number(share.pDifference)}.`,
      ),
    );
  }
  return lines;
}

function cellLines(cell) {
  const column = Number(cell.dataset.column);
  const members = drawn.columns[column];
  const names = members
    .slice(0, 8)
    .map((position) =>
      position < promptCount ? data.prompt[position].shown : (data.tokens[position - promptCount]?.shown ?? ""),
    );
  const id = members.length === 1 && members[0] < promptCount ? ` · id ${data.prompt[members[0]].id}` : "";
  return [
    `“${names.join("")}${members.length > 8 ? "…" : ""}”${id}`,
    `base ${number(drawn.base[column])} · tuned ${number(drawn.tuned[column])} · Δ ${signed(drawn.difference[column])}`,
    ...(members[0] >= promptCount && members[0] - promptCount < answerCount ? ["earlier in the answer"] : []),
  ];
}
