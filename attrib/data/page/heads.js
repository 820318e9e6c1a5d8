/* Layer × head: how much of each head's attention falls on the question or on one prompt token; a click shows it. */

import { colour, styled } from "./colours.js";
import { data, headStrip, promptCount, quotedSelection, range } from "./data.js";
import { byId, make, number, signed } from "./dom.js";
import { headLabel, scaleParts, showsHeads } from "./prompt.js";
import { change, listen, state, toHeads } from "./state.js";
import { explainHover } from "./tip.js";

const HEAD_LEFT = 22; // pixels for head numbers
const HEAD_BELOW = 14; // pixels for layer numbers
const HEAD_TALL = 11; // pixels of a head's row
const question = range(0, promptCount - 1).filter((position) => !data.prompt[position].template);
let strip = null;
let wide = 10;

export function mountHeads() {
  const root = byId("heads");
  if (!data.heads) {
    root.remove();
    return;
  }
  const { layers, heads, reduced } = data.heads;
  const option = (position) => make("option", { value: position }, data.prompt[position].shown);
  const template = range(0, promptCount - 1).filter((position) => data.prompt[position].template);
  const focus = make(
    "select",
    { "aria-label": "Attention on" },
    make("option", { value: -1 }, "the question"),
    ...question.map(option),
    template.length ? make("optgroup", { label: "template" }, template.map(option)) : null,
  );
  focus.addEventListener("change", () => change({ focus: Number(focus.value) }));
  root.append(
    make(
      "div",
      { class: "title" },
      make("h2", { id: "heads-title" }, "Layer × head"),
      make("label", { class: "note" }, "share of attention on ", focus),
      make("div", { class: "legend", id: "heads-scale" }),
      make("span", { class: "note", id: "heads-what", dir: "auto" }),
    ),
    make("canvas", {
      id: "heads-map",
      role: "img",
      "aria-label": `Attention of ${layers} layers${reduced ? "" : ` × ${heads} heads`}; choose one with the layer and head menus above`,
    }),
    make(
      "p",
      { class: "note" },
      `${reduced ? "Columns are layers, each the mean over its heads." : "Columns are layers, rows are heads."} A click shows that head in the prompt; a second one goes back.`,
    ),
  );
  const canvas = byId("heads-map");
  canvas.addEventListener("click", (event) => {
    const cell = cellAt(event);
    if (!cell) return;
    const again = cell.layer === state.layer && (reduced || cell.head === state.head);
    toHeads({ layer: again ? -1 : cell.layer, head: again || reduced ? -1 : cell.head });
  });
  explainHover(root, "canvas", (_, event) => {
    const cell = cellAt(event);
    if (!cell) return null;
    const i = cell.layer * heads + cell.head;
    return [
      `layer ${cell.layer}${reduced ? "" : `, head ${cell.head}`}`,
      `base ${number(strip.base[i])} · tuned ${number(strip.tuned[i])} · Δ ${signed(strip.difference[i])}`,
    ];
  });
  new ResizeObserver(drawHeads).observe(root);
  listen((changed) => {
    if (changed.has("focus")) focus.value = String(state.focus);
    if (["first", "last", "model", "layer", "head", "focus", "theme"].some((name) => changed.has(name))) drawHeads();
  });
}

function cellAt(event) {
  const box = byId("heads-map").getBoundingClientRect();
  const layer = Math.floor((event.clientX - box.left - HEAD_LEFT) / wide);
  const head = Math.floor((event.clientY - box.top) / HEAD_TALL);
  return layer >= 0 && layer < data.heads.layers && head >= 0 && head < data.heads.heads ? { layer, head } : null;
}

function drawHeads() {
  if (!data.heads) return;
  const { layers, heads } = data.heads;
  strip = headStrip(state.focus < 0 ? question : [state.focus], state.first, state.last);
  const centred = state.model === "difference";
  const sides = centred ? [strip.difference] : [strip.base, strip.tuned];
  const limit = Math.max(
    1e-9,
    ...sides.map((side) => side.reduce((most, value) => Math.max(most, Math.abs(value)), 0)),
  );
  const canvas = byId("heads-map");
  wide = Math.max(3, Math.min(22, Math.floor((byId("heads").clientWidth - 34 - HEAD_LEFT) / layers)));
  const pen = sized(canvas, HEAD_LEFT + wide * layers + 1, HEAD_TALL * heads + HEAD_BELOW);
  const ink = getComputedStyle(canvas).color;
  pen.fillStyle = styled("rule");
  pen.fillRect(HEAD_LEFT - 1, 0, wide * layers + 1, HEAD_TALL * heads);
  for (let layer = 0; layer < layers; layer++) {
    for (let head = 0; head < heads; head++) {
      pen.fillStyle = colour(strip[state.model][layer * heads + head] / limit, centred).background;
      pen.fillRect(HEAD_LEFT + layer * wide, head * HEAD_TALL + 1, wide - 1, HEAD_TALL - (head === heads - 1 ? 2 : 1));
    }
  }
  pen.fillStyle = ink;
  pen.font = "9px system-ui, sans-serif";
  pen.textAlign = "center";
  const every = Math.ceil(24 / wide / 5) * 5 || 1;
  for (let layer = 0; layer < layers; layer += every)
    pen.fillText(String(layer), HEAD_LEFT + (layer + 0.5) * wide, HEAD_TALL * heads + 10);
  pen.textAlign = "right";
  for (let head = 0; head < heads && heads > 1; head += heads > 12 ? 4 : 2)
    pen.fillText(String(head), HEAD_LEFT - 4, (head + 0.5) * HEAD_TALL + 3);
  if (showsHeads()) {
    pen.strokeStyle = ink;
    pen.lineWidth = 2;
    const x = state.layer < 0 ? HEAD_LEFT : HEAD_LEFT + state.layer * wide;
    const y = state.head < 0 ? 0 : state.head * HEAD_TALL;
    pen.strokeRect(
      x,
      y + 1,
      state.layer < 0 ? wide * layers : wide,
      state.head < 0 ? HEAD_TALL * heads - 1 : HEAD_TALL - 1,
    );
  }
  byId("heads-what").textContent =
    `for ${quotedSelection(state.first, state.last)}${showsHeads() ? ` · shown above: ${headLabel()}` : ""}`;
  byId("heads-scale").replaceChildren(...scaleParts(centred, limit));
}

/** A canvas of this many CSS pixels, sharp on any screen, emptied. */
export function sized(canvas, width, height) {
  const sharp = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * sharp);
  canvas.height = Math.round(height * sharp);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(sharp, sharp);
  return pen;
}
