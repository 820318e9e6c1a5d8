/* Sections of the documents, ranked for the selection, with the control texts' row in its place. */

import { answerCount, data, explained, mapperNamed, matches, range, sectionCount, sectionScores, selectionText, sideOf, smallestQ } from "./data.js";
import { button, byId, count, make, number, percent, signed, visible } from "./dom.js";
import { change, listen, state } from "./state.js";

const FIRST = window.matchMedia("(max-width: 560px)").matches ? 10 : 25; // rows at first
const MORE = 30; // rows that "show more" adds
const SNIPPET = 230; // characters of a closed section
const LONG_MATCH = 90; // characters from which a match is marked more quietly

let shown = FIRST;
let order = []; // indices of sections, best first, those that the search leaves
let rankOf = []; // index → place among all sections
let open = new Set();
const rows = new Map(); // index → its element, of those drawn

export function mountSections() {
  const root = byId("sections");
  const search = make("input", { type: "search", id: "search", placeholder: "search /", "aria-label": "Search in sections", "aria-keyshortcuts": "/", spellcheck: "false", autocomplete: "off" });
  search.addEventListener("input", () => change({ query: search.value }));
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && order.length) change({ section: order[0] });
  });
  root.append(
    make("div", { class: "title" },
      make("h2", { id: "sections-title" }, "Sections"),
      search,
      make("span", { class: "note", id: "sections-what", dir: "auto" }),
    ),
    make("div", { id: "sections-notes" }),
    make("div", { id: "section-scroll" }, make("ol", { id: "section-list" }), make("div", { id: "sections-more" })),
  );
  byId("section-list").addEventListener("click", clicked);
  listen((changed) => {
    if (["first", "last", "mapper", "query"].some((name) => changed.has(name))) shown = FIRST;
    if (changed.has("query") && search.value !== state.query) search.value = state.query;
    if (["first", "last", "model", "mapper", "query", "pins", "numbers"].some((name) => changed.has(name))) drawSections();
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

/** All sections, best first. */
function ranked({ scores }) {
  const value = (i) => (Number.isNaN(scores[i]) ? -Infinity : scores[i]);
  return range(0, sectionCount - 1).sort((a, b) => value(b) - value(a) || data.sections[a].rank - data.sections[b].rank);
}

/** How many of some sections, best first, score at least as high. */
function placeAmong(indices, { scores }, score) {
  let place = 0;
  while (place < indices.length && scores[indices[place]] >= score) place += 1;
  return place;
}

export function drawSections() {
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
  rankOf = new Int32Array(sectionCount);
  every.forEach((index, place) => {
    rankOf[index] = place + 1;
  });
  const held = heldFocus();
  const pins = state.pins.map((id) => data.sections.findIndex((section) => section.id === id));
  rows.clear();
  const items = pins.map((index) => row(found, index, true));
  const extra = [[own.control, controlRow], [own.other, otherRow]]
    .filter(([score]) => Number.isFinite(score))
    .map(([score, draw]) => [placeAmong(order, own, score), draw(found, placeAmong(every, own, score) + 1)])
    .sort((a, b) => a[0] - b[0]);
  const end = Math.min(shown, order.length);
  for (let i = 0; i < end; i++) {
    while (extra.length && extra[0][0] <= i) items.push(extra.shift()[1]);
    if (!pins.includes(order[i])) items.push(row(found, order[i], false));
  }
  list.replaceChildren(...items, ...extra.map(([, item]) => item));
  showMore(end);
  sayList(mapper);
  rows.get(held?.index)?.querySelector(`.${held.control}`)?.focus({ preventScroll: true });
}

/** Which row's button has the focus: drawing the list again must not take it away. */
function heldFocus() {
  const row_ = document.activeElement?.closest(".section");
  const control = ["pick", "open", "pin"].find((name) => document.activeElement?.classList.contains(name));
  return row_ && control ? { index: Number(row_.dataset.index), control } : null;
}

function showMore(end) {
  const left = order.length - end;
  byId("sections-more").replaceChildren(
    left > 0
      ? button(`${left > MORE ? `Show ${MORE} more of` : "Show the other"} ${count(left, "section")}`, { id: "more" }, () => {
          shown += MORE;
          drawSections();
          rows.get(order[end])?.querySelector("button").focus();
        })
      : "",
    order.length ? "" : make("p", { class: "note" }, "No section holds what you search."),
  );
}

function sayList(mapper) {
  const selected = selectionText(state.first, state.last);
  const model = !mapper.usesModel ? "reads the text only" : state.model === "difference" ? "tuned − base" : state.model;
  byId("sections-what").replaceChildren(make("b", {}, mapper.says), ` · ${state.first < 0 ? selected : `‹${selected}›`} · ${mapper.label} · ${model}`);
  const total = data.sectionsTotal > sectionCount ? ` of ${data.sectionsTotal.toLocaleString("en")}` : "";
  const notes = [`${count(sectionCount, "section")}${total}, by ${mapper.meaning}${state.first < 0 ? ", question and answer together" : ""}. ${mapper.caveat}`];
  if (!mapper.usesModel && state.model === "difference") notes.unshift("This mapper reads the text only: base and tuned score alike, so there is no difference to show.");
  if (!sideOf(mapper, "tuned").control.length) notes.push("There are no control texts: nothing tells these scores from chance.");
  byId("sections-notes").replaceChildren(
    ...notes.map((note) => make("p", { class: "note" }, note)),
  );
}

/** Two bars on one axis, base over tuned, or the difference around zero; a tick: 95% of control texts lie below. */
function bars(found, base, tuned, high) {
  const chart = make("div", { class: "bars", "aria-hidden": "true" });
  if (state.model === "difference") {
    const value = tuned - base;
    chart.classList.add("centred");
    chart.append(bar(value < 0 ? "less" : "more", 0.5 + Math.min(0, value) / found.span / 2, 0.5 + Math.max(0, value) / found.span / 2, 0.5));
    return chart;
  }
  const share = (value) => (value - found.low) / (found.high - found.low);
  const span = (value) => [share(Math.min(0, value)), share(Math.max(0, value))];
  if (found.mapper.usesModel) chart.append(bar("base", ...span(base), share(high?.base)));
  chart.append(bar("tuned", ...span(tuned), share(high?.tuned)));
  if (found.low < 0) {
    for (const track of chart.children) {
      const zero = make("span", { class: "zero" });
      zero.style.left = `${100 * share(0)}%`;
      track.append(zero);
    }
  }
  return chart;
}

function bar(kind, from, to, tick) {
  const fill = make("span", { class: "fill" });
  fill.style.left = `${100 * from}%`;
  fill.style.width = `${Math.max(0, 100 * (to - from))}%`;
  const track = make("span", { class: `track ${kind}` }, fill);
  if (Number.isFinite(tick)) {
    const mark = make("span", { class: "tick" });
    mark.style.left = `${100 * tick}%`;
    track.append(mark);
  }
  return track;
}

function figures(found, base, tuned) {
  if (!found.mapper.usesModel) return null;
  const strong = (model, text) => make(state.model === model ? "b" : "span", {}, text);
  return make("span", { class: "figures" },
    strong("base", `base ${number(base)}`), " ", strong("tuned", `tuned ${number(tuned)}`), " ", strong("difference", `Δ ${signed(tuned - base)}`));
}

function headline(found, scores) {
  return make("span", { class: "score" }, state.model === "difference" ? signed(scores) : number(scores));
}

function row(found, index, pinned) {
  const section = data.sections[index];
  const [base, tuned] = [found.base.scores[index], found.tuned.scores[index]];
  const own = found[state.model];
  const below = own.scores[index] <= own.high;
  const q = state.model === "difference" ? NaN : smallestQ(found.mapper, state.model, index, state.first, state.last);
  const sure = q < data.settings.significant;
  const item = make("li", { class: "section", "data-index": index });
  item.classList.toggle("null", below && !sure);
  item.classList.toggle("pinned", pinned);
  item.classList.toggle("chosen", state.section === index);
  item.append(
    make("div", { class: "rank" }, make("span", { class: "unseen" }, "rank "), String(rankOf[index])),
    make("div", { class: "head" },
      make("button", { type: "button", class: "pick", "aria-pressed": String(state.section === index), dir: "auto" }, visible(section.title)),
      sure ? make("span", { class: "dot", title: `q ${number(q)}` }, "•", make("span", { class: "unseen" }, "beyond chance")) : null,
      headline(found, own.scores[index]),
    ),
    make("div", { class: "place" }, placeOf(section), ...remarks(section, q, below && !sure), acts(index, section, pinned)),
    make("div", { class: "measure" }, bars(found, base, tuned, { base: found.base.high, tuned: found.tuned.high }), figures(found, base, tuned)),
    body(index),
  );
  rows.set(index, item);
  return item;
}

function acts(index, section, pinned) {
  const whole = open.has(index);
  return make("span", { class: "acts" },
    make("button", { type: "button", class: "quiet open", "aria-expanded": String(whole), "aria-label": `Open ${visible(section.title)}` }, whole ? "⊖ close" : "⊕ open"),
    make("button", { type: "button", class: "quiet pin", "aria-pressed": String(pinned), "aria-label": `Pin ${visible(section.title)}` }, pinned ? "unpin" : "pin"),
  );
}

function placeOf(section) {
  return make("span", { class: "where", dir: "auto" }, visible(`${section.document} ${section.lines}`));
}

function remarks(section, q, dim) {
  const said = [`learned ${percent(section.learned)}`];
  if (state.numbers) said.push(`own gain ${signed(section.gainBits)} bits a token`, `q ${number(q)}`, `rank in the verdict ${section.rank}`, section.id);
  if (section.nearDuplicateOf) {
    const twin = data.sections.find((other) => other.id === section.nearDuplicateOf);
    said.push(`near-duplicate of ${visible(twin ? `${twin.title} ${twin.lines}` : section.nearDuplicateOf)}`);
  }
  if (dim) said.push("within the control texts' range");
  return said.map((text) => make("span", { class: "remark" }, text));
}

/** A section's text as characters, as the record counts them. */
function characters(text) {
  return /[\ud800-\udfff]/.test(text) ? Array.from(text) : text;
}

/** The text around the first match, or all of it where the section is open; matches are marked. */
function body(index) {
  const section = data.sections[index];
  const text = characters(section.text);
  const part = (from, to) => (typeof text === "string" ? text.slice(from, to) : text.slice(from, to).join(""));
  const spans = matches(state.mapper, state.model, index, state.first, state.last).filter((span) => span[0] < text.length);
  const whole = open.has(index);
  // The title stands above already: a closed section starts with its text.
  const heading = section.text.indexOf("\n") + 1;
  const skip = !whole && section.title.endsWith(section.text.slice(0, heading).trim()) && !(spans[0]?.[1] <= heading) ? heading : 0;
  const start = whole ? 0 : Math.max(skip, Math.min((spans[0]?.[0] ?? 0) - Math.round(SNIPPET / 4), text.length - SNIPPET));
  const end = whole ? text.length : Math.min(text.length, start + SNIPPET);
  const show = (from, to) => visible(whole ? part(from, to) : part(from, to).replace(/\s+/g, " "), whole ? "\n" : "");
  const box = make("div", { class: whole ? "text whole" : "text", dir: "auto" }, start > skip ? "…" : "");
  let at_ = start;
  for (const [from, to] of spans) {
    let [left, right] = [Math.max(from, at_), Math.min(to, end)];
    while (left < right && /\s/.test(text[left])) left += 1;
    while (left < right && /\s/.test(text[right - 1])) right -= 1;
    if (left >= right) continue;
    box.append(show(at_, left), make("mark", { class: right - left > LONG_MATCH ? "long" : null }, show(left, right)));
    at_ = right;
  }
  box.append(show(at_, end), end < text.length ? "…" : "");
  if (whole && section.cut) box.append(make("div", { class: "note" }, "The rest of this text was dropped from the page."));
  return box;
}

function controlRow(found, rank) {
  const { base, tuned } = found;
  const item = make("li", { class: "control" },
    make("div", { class: "rank", "aria-hidden": "true" }, "–"),
    make("div", { class: "head" }, make("span", { class: "pick" }, "Best control text (never trained on)"), headline(found, found[state.model].control)),
    make("div", { class: "measure" }, bars(found, base.control, tuned.control, { base: base.high, tuned: tuned.high }), figures(found, base.control, tuned.control)),
    make("div", { class: "place" }, `best of ${count(data.control.count, "control text")}${state.last > state.first ? ", at each token its own best" : ""}: would be rank ${rank} · tick: 95% of them lie below · dot: q < ${data.settings.significant}`),
  );
  if (state.model === "difference") item.lastChild.textContent = "best control text under tuned − best under base";
  return item;
}

function otherRow(found, rank) {
  return make("li", { class: "control" },
    make("div", { class: "rank", "aria-hidden": "true" }, "–"),
    make("div", { class: "head" }, make("span", { class: "pick" }, "Best section that this page leaves out"), headline(found, found[state.model].other)),
    make("div", { class: "place" }, `one of ${count(data.sectionsScored - sectionCount, "section")} dropped for size; would be rank ${rank}`),
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
  item.querySelector(".text").replaceWith(body(index));
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
  return state.section >= 0 ? state.section : order[0] ?? -1;
}

/** ↑ and ↓ in the ranking. */
export function stepSection(direction) {
  const at_ = order.indexOf(state.section);
  const next = state.section < 0 || at_ < 0 ? (direction > 0 ? 0 : order.length - 1) : at_ + direction;
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
    shown = Math.max(shown, order.indexOf(state.section) + 6);
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
  else if (box.bottom > frame.bottom - sticky) list.scrollTop += Math.min(box.bottom - frame.bottom + sticky + 8, box.top - frame.top - sticky);
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
  const backs = state.section >= 0 && answerCount ? `, explains ${count(explained(state.mapper, state.model, index).sure.length, "token")}` : "";
  return `section ${data.sections[index].title}, ${number(score)}${backs}`;
}
