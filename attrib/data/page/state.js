/* What is selected and how it is shown; kept in the address, so that a link opens the same view. */

import { answerCount, data, mapperNamed, methodNamed, promptCount, sectionIndex, wordAt } from "./data.js";
import { storedTheme } from "./theme.js";

export const MODELS = ["base", "tuned", "difference"];

/** Methods that name the words which an answer needs, the most faithful first (figures/faithfulness). */
const FAITHFUL = ["contextcite", "shapley", "leave_one_out", "relevance"];

export function initial() {
  return {
    first: -1, // first and last selected answer token; −1: the whole answer
    last: -1,
    anchor: -1, // where the selection started
    model: "tuned",
    method: FAITHFUL.find(methodNamed) ?? data.methods[0]?.name ?? "",
    mapper: data.mappers.at(-1)?.name ?? "",
    layer: -1, // −1: the mean
    head: -1,
    focus: -1, // prompt token whose attention the layer × head strip shows; −1: the question
    unit: "word",
    section: -1, // index of the selected section
    pins: [], // ids of sections that stay on top
    numbers: false,
    theme: storedTheme(),
    linkedTheme: false, // the address names the theme
    query: "",
  };
}

export const state = initial();
const listeners = [];
let writing = 0;

/** Be told which fields changed: act(Set of names). */
export function listen(act) {
  listeners.push(act);
}

/** Change some fields; the listeners hear of those that differ. */
export function change(fields) {
  const changed = new Set(Object.keys(fields).filter((name) => !same(state[name], fields[name])));
  if (!changed.size) return;
  Object.assign(state, fields);
  announce(changed);
  // Browsers refuse addresses that change with every repeated key.
  clearTimeout(writing);
  writing = setTimeout(writeHash, 120);
}

/** Let everything that follows these fields draw again. */
export function announce(names) {
  for (const act of listeners) act(names);
}

function same(a, b) {
  return Array.isArray(a) ? a.join() === b.join() : a === b;
}

/** First and last token of what is selected as one: a token, or the word that holds it. */
export function unitAt(token, unit = state.unit) {
  return unit === "word" ? wordAt(token) : [token, token];
}

/** Select tokens first … last, by words where words are shown; `extend`: up to `token` from where it started. */
export function select(token, extend = false) {
  if (token < 0 || token >= answerCount) return;
  const anchor = extend && state.anchor >= 0 ? state.anchor : token;
  const [low, high] = [Math.min(anchor, token), Math.max(anchor, token)];
  change({ first: unitAt(low)[0], last: unitAt(high)[1], anchor });
}

/** The end of the selection that moves when it is extended: the one away from where it started. */
export function movingEnd() {
  return state.first < unitAt(state.anchor)[0] ? state.first : state.last;
}

/** The token, or a token of the word, on either side of the selection; the first one where nothing is selected. */
export function neighbour(step, extend) {
  if (state.first < 0) return step > 0 ? 0 : answerCount - 1;
  const end = extend ? movingEnd() : step > 0 ? state.last : state.first;
  const [first, last] = unitAt(end);
  return Math.min(answerCount - 1, Math.max(0, step > 0 ? last + 1 : first - 1));
}

/** Show a layer or head, which is a picture of attention, whatever method was chosen before. */
export function toHeads(fields) {
  change({ ...fields, method: methodNamed("attention") ? "attention" : state.method });
}

export function clearSelection() {
  change({ first: -1, last: -1, anchor: -1 });
}

/** The view as an address: only what differs from the start. */
export function hash() {
  const start = initial();
  const parts = new URLSearchParams();
  if (state.first >= 0) parts.set("t", state.first === state.last ? state.first : `${state.first}-${state.last}`);
  for (const name of ["model", "method", "mapper", "layer", "head", "focus", "unit", "query"]) {
    if (state[name] !== start[name]) parts.set(name, state[name]);
  }
  if (state.linkedTheme) parts.set("theme", state.theme);
  if (state.section >= 0) parts.set("section", data.sections[state.section].id);
  if (state.pins.length) parts.set("pin", state.pins.join(" "));
  if (state.numbers) parts.set("numbers", 1);
  return parts.toString();
}

/** Fields that an address names; what it names wrongly is left as at the start. */
function parsed(text) {
  const parts = new URLSearchParams(text.replace(/^#/, ""));
  const found = initial();
  const whole = (name, limit) => {
    const value = /^\d+$/.test(parts.get(name) ?? "") ? Number(parts.get(name)) : -1;
    return value < limit ? value : -1;
  };
  const among = (name, known) => (known.includes(parts.get(name)) ? parts.get(name) : found[name]);
  found.model = among("model", MODELS);
  found.unit = among("unit", ["token", "word"]);
  // The reader's own theme stays where the link names none.
  found.linkedTheme = ["light", "dark"].includes(parts.get("theme"));
  found.theme = found.linkedTheme ? parts.get("theme") : state.theme;
  const tokens = /^(\d+)(?:-(\d+))?$/.exec(parts.get("t") ?? "");
  if (tokens) {
    const [first, last] = [Number(tokens[1]), Number(tokens[2] ?? tokens[1])];
    if (first <= last && last < answerCount)
      Object.assign(found, {
        first: unitAt(first, found.unit)[0],
        last: unitAt(last, found.unit)[1],
        anchor: first,
      });
  }
  if (methodNamed(parts.get("method"))) found.method = parts.get("method");
  if (mapperNamed(parts.get("mapper"))) found.mapper = parts.get("mapper");
  found.layer = whole("layer", data.heads?.layers ?? 0);
  found.head = whole("head", data.heads?.heads ?? 0);
  found.focus = whole("focus", promptCount);
  found.section = sectionIndex(parts.get("section"));
  found.pins = [...new Set((parts.get("pin") ?? "").split(" "))].filter((id) => sectionIndex(id) >= 0);
  found.numbers = parts.get("numbers") === "1";
  found.query = parts.get("query") ?? "";
  return found;
}

function writeHash() {
  const text = hash();
  try {
    if (location.hash.replace(/^#/, "") !== text)
      history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  } catch {
    // A page inside a frame without an address of its own keeps its state only while it is open.
  }
}

/** Take the view from the address, now and whenever it changes; an address without fields names a place, no view. */
export function followAddress() {
  const isView = () => location.hash.length < 2 || location.hash.includes("=");
  window.addEventListener("hashchange", () => {
    if (isView() && location.hash.replace(/^#/, "") !== hash()) change(parsed(location.hash));
  });
  if (isView()) Object.assign(state, parsed(location.hash));
}
