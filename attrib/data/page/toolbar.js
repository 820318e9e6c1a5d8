/* The switches: model, words or tokens, numbers; the menus of mappers, methods, layers and heads. */

import { data } from "./data.js";
import { button, byId, make } from "./dom.js";
import { change, listen, MODELS, state, toHeads, unitAt } from "./state.js";

export function mountToolbar() {
  byId("toolbar").append(
    group(
      "Model",
      switches(
        "model",
        MODELS.map((name, i) => [name, name === "difference" ? "tuned − base" : name, String(i + 1)]),
        (model) => change({ model }),
      ),
    ),
    group(
      "Select",
      switches(
        "unit",
        [
          ["word", "words"],
          ["token", "tokens"],
        ],
        setUnit,
      ),
    ),
    numbers(),
  );
  byId("mapper-menu").append(
    menu(
      "mapper",
      data.mappers.map((mapper) => [mapper.name, mapper.label]),
      (mapper) => change({ mapper }),
      "n",
      "Sections by",
    ),
  );
  byId("method-menu").append(
    menu(
      "method",
      data.methods.map((method) => [method.name, method.label]),
      (name) => change({ method: name, layer: -1, head: -1 }),
      "m",
      "Prompt by",
    ),
    layers() ?? "",
  );
}

function group(label, ...controls) {
  return make(
    "div",
    { class: "group", role: "group", "aria-label": label },
    make("span", { class: "label", "aria-hidden": "true" }, label),
    ...controls,
  );
}

function switches(name, options, act) {
  const box = make("span", { class: "switches" });
  for (const [value, label, key] of options) {
    const children = [label, key ? make("kbd", { "aria-hidden": "true" }, key) : null];
    const one = make("button", { type: "button", "data-value": value, "aria-keyshortcuts": key }, children);
    one.addEventListener("click", () => act(value));
    box.append(one);
  }
  const show = () => {
    for (const one of box.children) one.setAttribute("aria-pressed", String(one.dataset.value === String(state[name])));
  };
  listen((changed) => changed.has(name) && show());
  return box;
}

function menu(name, options, act, key, label = name) {
  const select = make(
    "select",
    { id: `menu-${name}`, "aria-label": label, "aria-keyshortcuts": key, disabled: options.length === 0 },
    options.map(([value, label]) => make("option", { value }, label)),
  );
  select.addEventListener("change", () => act(select.value));
  const show = () => {
    select.value = String(state[name]);
  };
  listen((changed) => changed.has(name) && show());
  return select;
}

function layers() {
  if (!data.heads) return null;
  const numbered = (n) => [[-1, "all"], ...Array.from({ length: n }, (_, i) => [i, String(i)])];
  const head = menu("head", numbered(data.heads.heads), (value) => toHeads({ head: Number(value) }));
  if (data.heads.reduced) {
    head.disabled = true;
    head.title = "single heads were dropped for size";
  }
  return group(
    "Layer, head",
    menu("layer", numbered(data.heads.layers), (value) => toHeads({ layer: Number(value) })),
    head,
  );
}

function setUnit(unit) {
  const grown = state.first >= 0 ? { first: unitAt(state.first, unit)[0], last: unitAt(state.last, unit)[1] } : {};
  change({ unit, ...grown });
}

function numbers() {
  const toggle = button("numbers", { id: "numbers-toggle" }, () => change({ numbers: !state.numbers }));
  const show = () => toggle.setAttribute("aria-pressed", String(state.numbers));
  listen((changed) => changed.has("numbers") && show());
  return make("div", { class: "group" }, toggle);
}

/** The next method or mapper of a menu. */
export function next(name, options) {
  if (!options.length) return;
  const here = options.findIndex((option) => option.name === state[name]);
  const after = options[(here + 1) % options.length].name;
  change(name === "method" ? { method: after, layer: -1, head: -1 } : { [name]: after });
}
