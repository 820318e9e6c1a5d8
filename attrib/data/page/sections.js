/* Sections of the documents, ranked for the selection, with the control texts' row in its place. */

import { answerCount, backed, data, labelOf, mapperNamed, quotedSelection, range, sectionCount } from "./data.js";
import { sectionIndex, sectionScores, verbOf } from "./data.js";
import { button, byId, count, explained, make, number } from "./dom.js";
import { controlRow, otherRow, sectionRow, sectionText } from "./rows.js";
import { change, initial, listen, state } from "./state.js";

const LEAST = 3; // rows at first, and as many more as stand out
const MOST = 8; // of those that stand out
const MORE = 30; // rows that "show more" adds

let shown = LEAST;
let grown = false; // the reader asked for more rows
let order = []; // indices of sections, best first, those that the search leaves
let open = new Set();
const rows = new Map(); // index → its element, of those drawn

export function mountSections() {
  const root = byId("sections");
  const search = make("input", {
    type: "search",
    id: "search",
    placeholder: "search /",
    value: state.query,
    "aria-label": "Search in sections",
    "aria-keyshortcuts": "/",
    spellcheck: "false",
    autocomplete: "off",
  });
  search.addEventListener("input", () => change({ query: search.value }));
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && order.length) change({ section: order[0] });
  });
  root.append(
    make(
      "div",
      { class: "title" },
      make("h2", { id: "sections-title" }, "Sections"),
      make("span", { id: "mapper-menu" }),
      search,
      make("p", { class: "note", id: "sections-what", dir: "auto" }),
    ),
    make("div", { id: "section-scroll" }, make("ol", { id: "section-list" }), make("div", { id: "sections-more" })),
  );
  byId("section-list").addEventListener("click", clicked);
  listen((changed) => {
    if (["first", "last", "mapper", "query"].some((name) => changed.has(name))) grown = false;
    if (changed.has("query") && search.value !== state.query) search.value = state.query;
    if (["first", "last", "model", "mapper", "query", "pins", "numbers"].some((name) => changed.has(name)))
      drawSections();
    if (changed.has("section")) showSelected();
  });
}

const lower = new Map();

/** Does a section's title, place or text hold what is searched? */
function holds(index, query) {
  if (!lower.has(index)) {
    const section = data.sections[index];
    lower.set(index, `${section.title}\n${section.document} ${section.lines}\n${section.text}`.toLowerCase());
  }
  return lower.get(index).includes(query);
}

/** All sections, best first: of the whole answer under the first view in the verdict's order, which every view names. */
function ranked({ scores }) {
  if (state.first < 0 && state.mapper === initial().mapper && state.model === initial().model)
    return range(0, sectionCount - 1).sort((a, b) => data.sections[a].rank - data.sections[b].rank);
  const value = (i) => (Number.isNaN(scores[i]) ? -Infinity : scores[i]);
  return range(0, sectionCount - 1).sort(
    (a, b) => value(b) - value(a) || data.sections[a].rank - data.sections[b].rank,
  );
}

/** How many of some sections, best first, score at least as high. */
function placeAmong(indices, { scores }, score) {
  let place = 0;
  while (place < indices.length && scores[indices[place]] >= score) place += 1;
  return place;
}

function drawSections() {
  const mapper = mapperNamed(state.mapper);
  const list = byId("section-list");
  if (!mapper || !sectionCount) {
    byId("sections-what").textContent = "this record has no section scores";
    return;
  }
  const found = sectionScores(state.mapper, state.first, state.last);
  const own = found[state.model];
  const every = ranked(own);
  const query = state.query.trim().toLowerCase();
  order = query ? every.filter((index) => holds(index, query)) : every;
  const rankOf = new Int32Array(sectionCount);
  every.forEach((index, place) => {
    rankOf[index] = place + 1;
  });
  const held = heldFocus();
  const pins = state.pins.map(sectionIndex);
  rows.clear();
  const draw = (index, pinned) => {
    const item = sectionRow(found, index, { rank: rankOf[index], pinned, whole: open.has(index) });
    rows.set(index, item);
    return item;
  };
  const items = pins.map((index) => draw(index, true));
  const extra = [
    [own.control, controlRow],
    [own.other, otherRow],
  ]
    .filter(([score]) => Number.isFinite(score))
    .map(([score, special]) => [placeAmong(order, own, score), special(found, placeAmong(every, own, score) + 1)])
    .sort((a, b) => a[0] - b[0]);
  if (!grown) shown = worthShowing(own);
  const end = Math.min(shown, order.length);
  for (let i = 0; i < end; i++) {
    while (extra.length && extra[0][0] <= i) items.push(extra.shift()[1]);
    if (!pins.includes(order[i])) items.push(draw(order[i], false));
  }
  list.replaceChildren(...items, ...extra.map(([, item]) => item));
  showMore(end);
  sayList(mapper);
  rows.get(held?.index)?.querySelector(`.${held.control}`)?.focus({ preventScroll: true });
}

/** How many of the first rows stand out from the control texts, some rows at least. */
function worthShowing({ scores, high }) {
  let rows = 0;
  while (rows < Math.min(MOST, order.length) && scores[order[rows]] > high) rows += 1;
  return Math.max(LEAST, rows);
}

/** Which row's button has the focus: drawing the list again must not take it away. */
function heldFocus() {
  const item = document.activeElement?.closest(".section");
  const control = ["pick", "open", "pin"].find((name) => document.activeElement?.classList.contains(name));
  return item && control ? { index: Number(item.dataset.index), control } : null;
}

function showMore(end) {
  const left = order.length - end;
  byId("sections-more").replaceChildren(
    left > 0
      ? button(
          `${left > MORE ? `${MORE} of ${count(left, "more section")}` : count(left, "more section")}`,
          { id: "more" },
          () => {
            grown = true;
            shown += MORE;
            drawSections();
            rows.get(order[end])?.querySelector("button").focus();
          },
        )
      : "",
    order.length ? "" : make("p", { class: "note" }, "No section holds what you search."),
  );
}

function sayList(mapper) {
  const model = state.model === "difference" ? "tuned − base" : state.model;
  const label = labelOf(state.first, state.last);
  const total = data.sectionsTotal > sectionCount ? ` of ${data.sectionsTotal.toLocaleString("en")}` : "";
  const notes = [
    `${count(sectionCount, "section")} scored${total}, by ${mapper.meaning}${state.first < 0 ? ", question and answer together" : ""}. ${mapper.caveat}`,
  ];
  if (!mapper.usesModel && state.model === "difference")
    notes.unshift("This mapper reads the text only: base and tuned score alike, so there is no difference to show.");
  if (!mapper.base.controlWhole.length)
    notes.push("There are no control texts: nothing tells these scores from chance.");
  const { noDots } = state.model === "base" ? mapper.base : (mapper.tuned ?? mapper.base);
  if (noDots) notes.push(`${noDots.charAt(0).toUpperCase()}${noDots.slice(1)}.`);
  byId("sections-what").replaceChildren(
    make("b", {}, mapper.says[state.model]),
    ` · ${quotedSelection(state.first, state.last)}${mapper.usesModel ? ` · ${model}` : ""}`,
    // A high score does not make the documents the source: the verdict stands beside it.
    answerCount && label !== "documents" ? ` · verdict: ${label}` : "",
    " ",
    ...explained(notes.join(" "), mapper.label),
  );
}

function clicked(event) {
  const item = event.target.closest(".section");
  if (!item) return;
  const index = Number(item.dataset.index);
  if (event.target.closest(".open")) toggleOpen(index);
  else if (event.target.closest(".pin")) togglePin(index);
  else if (!window.getSelection()?.toString()) change({ section: state.section === index ? -1 : index });
}

export function toggleOpen(index) {
  if (!open.delete(index)) open.add(index);
  const item = rows.get(index);
  if (!item) return;
  item.querySelector(".text").replaceWith(sectionText(index, open.has(index)));
  const toggle = item.querySelector(".open");
  toggle.textContent = open.has(index) ? "⊖ close" : "⊕ open";
  toggle.setAttribute("aria-expanded", String(open.has(index)));
}

/** Pin a section to the top of the list, or let it go: it stays there while the selection changes. */
export function togglePin(index) {
  const { id } = data.sections[index];
  change({ pins: state.pins.includes(id) ? state.pins.filter((other) => other !== id) : [...state.pins, id] });
}

/** The selected section, or the best one. */
export function currentSection() {
  return state.section >= 0 ? state.section : (order[0] ?? -1);
}

/** ↑ and ↓ in the ranking. */
export function stepSection(direction) {
  const here = order.indexOf(state.section);
  const next = state.section < 0 || here < 0 ? (direction > 0 ? 0 : order.length - 1) : here + direction;
  if (next >= 0 && next < order.length) change({ section: order[next] });
}

function showSelected() {
  for (const item of byId("section-list").querySelectorAll(".chosen")) {
    item.classList.remove("chosen");
    item.querySelector(".pick").setAttribute("aria-pressed", "false");
  }
  if (state.section < 0) return;
  if (!rows.has(state.section)) {
    if (!order.includes(state.section)) change({ query: "" });
    grown = true;
    shown = Math.max(shown, order.indexOf(state.section) + 3);
    drawSections();
  }
  const item = rows.get(state.section);
  item.classList.add("chosen");
  item.querySelector(".pick").setAttribute("aria-pressed", "true");
  reveal(item);
}

/** Scroll the list, not the page, until the row is seen. */
function reveal(item) {
  const list = byId("section-scroll");
  if (list.scrollHeight <= list.clientHeight + 1) {
    item.scrollIntoView({ block: "nearest" });
    return;
  }
  const [box, frame] = [item.getBoundingClientRect(), list.getBoundingClientRect()];
  const sticky = list.querySelector(".control")?.offsetHeight ?? 0;
  if (box.top < frame.top + sticky) list.scrollTop += box.top - frame.top - sticky - 8;
  else if (box.bottom > frame.bottom - sticky)
    list.scrollTop += Math.min(box.bottom - frame.bottom + sticky + 8, box.top - frame.top - sticky);
}

/** Open every row that is drawn, for print; returns what undoes it. */
export function openAll() {
  const before = open;
  open = new Set(rows.keys());
  drawSections();
  return () => {
    open = before;
    drawSections();
  };
}

/** What a screen reader hears of the selection's best section: its name and score. */
export function bestSaid() {
  if (!order.length || !mapperNamed(state.mapper)) return "";
  const index = currentSection();
  const score = sectionScores(state.mapper, state.first, state.last)[state.model].scores[index];
  const verb = state.section >= 0 ? verbOf(mapperNamed(state.mapper), state.model, index) : null;
  const backs = verb ? `, ${verb} ${count(backed(state.mapper, state.model, index).sure.length, "token")}` : "";
  return `section ${data.sections[index].title}, ${number(score)}${backs}`;
}
