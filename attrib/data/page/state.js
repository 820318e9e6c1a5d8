/* What is selected and how it is shown; kept in the address, so that a link opens the same view. */

import { answerCount, data, mapperNamed, methodNamed, promptCount, wordAt } from "./data.js";

export const MODELS = ["base", "tuned", "difference"];

function initial() {
  return {
    first: -1, // first and last selected answer token; −1: the whole answer
    last: -1,
    anchor: -1, // where the selection started
    model: "tuned",
    method: data.methods[0]?.name ?? "",
    mapper: data.mappers.at(-1)?.name ?? "",
    layer: -1, // −1: the mean
    head: -1,
    focus: -1, // prompt token whose attention the layer × head strip shows; −1: the question
    unit: "token",
    section: -1, // index of the selected section
    pins: [], // ids of sections that stay on top
    numbers: false,
    theme: "",
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

/** Select tokens first … last, by words where words are shown; `extend`: up to `token` from where it started. */
export function select(token, extend = false) {
  if (token < 0 || token >= answerCount) return;
  const anchor = extend && state.anchor >= 0 ? state.anchor : token;
  const [low, high] = [Math.min(anchor, token), Math.max(anchor, token)];
  const words = state.unit === "word";
  change({ first: words ? wordAt(low)[0] : low, last: words ? wordAt(high)[1] : high, anchor });
}

/** The token on either side of the selection's moving end; the first one where nothing is selected. */
export function neighbour(step, extend) {
  if (state.first < 0) return step > 0 ? 0 : answerCount - 1;
  const moving = extend
    ? state.anchor <= state.first
      ? state.last
      : state.first
    : step > 0
      ? state.last
      : state.first;
  return Math.min(answerCount - 1, Math.max(0, moving + step));
}

export function clearSelection() {
  change({ first: -1, last: -1, anchor: -1 });
}

/** The view as an address: only what differs from the start. */
export function hash() {
  const start = initial();
  const parts = new URLSearchParams();
  if (state.first >= 0) parts.set("t", state.first === state.last ? state.first : `${state.first}-${state.last}`);
  for (const name of ["model", "method", "mapper", "layer", "head", "focus", "unit", "theme", "query"]) {
    if (state[name] !== start[name]) parts.set(name, state[name]);
  }
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
  const tokens = /^(\d+)(?:-(\d+))?$/.exec(parts.get("t") ?? "");
  if (tokens) {
    const [first, last] = [Number(tokens[1]), Number(tokens[2] ?? tokens[1])];
    if (first <= last && last < answerCount) Object.assign(found, { first, last, anchor: first });
  }
  found.model = among("model", MODELS);
  found.unit = among("unit", ["token", "word"]);
  found.theme = among("theme", ["light", "dark"]);
  if (methodNamed(parts.get("method"))) found.method = parts.get("method");
  if (mapperNamed(parts.get("mapper"))) found.mapper = parts.get("mapper");
  found.layer = whole("layer", data.heads?.layers ?? 0);
  found.head = whole("head", data.heads?.heads ?? 0);
  found.focus = whole("focus", promptCount);
  found.section = data.sections.findIndex((section) => section.id === parts.get("section"));
  found.pins = (parts.get("pin") ?? "").split(" ").filter((id) => data.sections.some((section) => section.id === id));
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

/** Take the view from the address, now and whenever it changes. */
export function followAddress() {
  const read = () => {
    if (location.hash.replace(/^#/, "") !== hash()) change(parsed(location.hash));
  };
  window.addEventListener("hashchange", read);
  if (location.hash.length > 1) Object.assign(state, parsed(location.hash));
  if (!state.theme) state.theme = storedTheme();
}

function storedTheme() {
  try {
    const theme = localStorage.getItem("attrib-theme");
    return theme === "light" || theme === "dark" ? theme : "";
  } catch {
    return "";
  }
}

/** Remember the theme for the next page, where the browser lets us. */
export function storeTheme(theme) {
  try {
    localStorage.setItem("attrib-theme", theme);
  } catch {
    // Frames without an origin have no storage.
  }
}
