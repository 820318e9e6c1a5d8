// The index of many pages: everything stands in the markup, this hides, sorts, and keeps the choice in the address.

import { byId } from "./dom.js";
import { mountQuestionBox } from "./live.js";
import { storedTheme, storeTheme } from "./theme.js";

const fields = ["search", "kind", "section", "sort"];
const form = byId("filters");
const list = byId("entries");
const entries = [...list.children].map((element, place) => ({
  element,
  place,
  text: [...element.querySelectorAll("h2, .answer, .best")].map((node) => fold(node.textContent)).join("\n"),
  question: element.querySelector("a").textContent,
}));

function fold(text) {
  return text.normalize("NFKC").toLowerCase();
}

function chosen() {
  const values = Object.fromEntries(fields.map((name) => [name, byId(name)?.value ?? ""]));
  values.verdicts = [...form.querySelectorAll("[name=verdict]:checked")].map((box) => box.value);
  return values;
}

function fits(entry, wanted, words) {
  const { verdict, kind, document: file, section } = entry.element.dataset;
  return (
    (!wanted.verdicts.length || wanted.verdicts.includes(verdict)) &&
    (!wanted.kind || wanted.kind === `k${kind}`) &&
    (!wanted.section || wanted.section === `d${file}` || wanted.section === `s${file}\n${section}`) &&
    words.every((word) => entry.text.includes(word))
  );
}

const orders = {
  "": (a, b) => a.place - b.place,
  documents: (a, b) => b.element.dataset.documents - a.element.dataset.documents || a.place - b.place,
  gain: (a, b) => b.element.dataset.gain - a.element.dataset.gain || a.place - b.place,
  question: (a, b) => a.question.localeCompare(b.question) || a.place - b.place,
};

let order = "";

function update() {
  const wanted = chosen();
  const words = fold(wanted.search).split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const entry of entries) {
    const here = fits(entry, wanted, words);
    entry.element.hidden = !here;
    shown += here;
  }
  if (wanted.sort !== order) {
    order = wanted.sort;
    list.append(...[...entries].sort(orders[order] ?? orders[""]).map((entry) => entry.element));
  }
  const all = entries.length;
  byId("count").textContent = shown === all ? `${all} explanations` : `${shown} of ${all} explanations`;
  byId("nothing").hidden = shown > 0;
  remember(wanted);
}

function remember(wanted) {
  const parts = new URLSearchParams();
  for (const name of fields) if (wanted[name]) parts.set(name, wanted[name]);
  if (wanted.verdicts.length) parts.set("verdict", wanted.verdicts.join(","));
  const hash = parts.toString();
  try {
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  } catch {
    // A sandboxed frame has no history.
  }
}

function recall() {
  const parts = new URLSearchParams(location.hash.slice(1));
  for (const name of fields) {
    const field = byId(name);
    if (!field) continue;
    field.value = parts.get(name) ?? "";
    // A link from another index may name what is not here.
    if (field.value !== (parts.get(name) ?? "")) field.value = "";
  }
  const verdicts = (parts.get("verdict") ?? "").split(",");
  for (const box of form.querySelectorAll("[name=verdict]")) box.checked = verdicts.includes(box.value) && !box.disabled;
  update();
}

function startFilters() {
  form.hidden = false;
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  // The fields are empty only after the event.
  form.addEventListener("reset", () => setTimeout(update));
  byId("clear").addEventListener("click", () => {
    form.reset();
    byId("search").focus();
  });
  addEventListener("hashchange", recall);
  addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input:not([type=checkbox]), textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      byId("search").focus();
    }
  });
  recall();
}

function startTheme() {
  const root = document.documentElement;
  const toggle = byId("theme");
  toggle.hidden = false;
  if (storedTheme()) root.dataset.theme = storedTheme();
  toggle.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    storeTheme(root.dataset.theme);
  });
}

const told = JSON.parse(byId("attrib-data").textContent);
if (told.live?.ask) mountQuestionBox(byId("ask"), told.live);
startTheme();
if (form) startFilters();
