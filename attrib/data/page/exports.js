/* Taking the view along: its link, the answer as SVG, the numbers as JSON. */

import { DASHES, VERDICT } from "./colours.js";
import { answerCount, data, leadsBlank, mostGain, range } from "./data.js";
import { byId, number, visible } from "./dom.js";
import { hash } from "./state.js";

const NS = "http://www.w3.org/2000/svg";
const WIDE = 760;
const SIZE = 16;
const LINE = 52;
const FONT = `${SIZE}px "DejaVu Sans", system-ui, sans-serif`;
const GAIN = 14;

export function mountExports() {
  byId("copy-link").addEventListener("click", copyLink);
  byId("save-svg").addEventListener("click", () => save("attrib-answer.svg", "image/svg+xml", answerSvg()));
  byId("save-json").addEventListener("click", () =>
    save("attrib.json", "application/json", byId("attrib-data").textContent),
  );
}

/** Copy the address of exactly this view; a page in a frame has none, there its state alone is copied. */
export function copyLink() {
  const state = hash();
  const address = location.protocol === "about:" ? "" : location.href.replace(/#.*/, "");
  copy(
    `${address}${state ? `#${state}` : ""}`,
    address ? "Link copied" : "This page has no address here: its state was copied",
  );
}

/** Put text on the clipboard and say so; where the browser refuses, show the text to copy by hand. */
export async function copy(text, done) {
  try {
    await navigator.clipboard.writeText(text);
    toast(done);
  } catch {
    toast(`Copy by hand: ${text}`, 15000);
  }
}

let fading = 0;

function toast(text, milliseconds = 2500) {
  const box = byId("toast");
  box.textContent = visible(text);
  box.classList.add("on");
  clearTimeout(fading);
  fading = setTimeout(() => box.classList.remove("on"), milliseconds);
}

function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  toast(`Saved ${name}`);
}

function shape(name, attributes, text) {
  const node = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  if (text !== undefined) node.textContent = text;
  return node;
}

/** The answer strip as a drawing of its own: verdict colours and lines, gain bars, legend. */
function answerSvg() {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = FONT;
  const root = shape("svg", { xmlns: NS, "font-family": '"DejaVu Sans", sans-serif', "font-size": SIZE });
  root.append(shape("title", {}, visible(data.question)));
  root.append(shape("text", { x: 0, y: 20, "font-weight": "bold" }, cutTo(pen, visible(data.question), WIDE)));
  root.append(
    shape(
      "text",
      { x: 0, y: 42, "font-size": 13 },
      data.verdict.words,
    ),
  );
  const leadOf = (token) => (leadsBlank(token) ? 1 : 0);
  const blank = pen.measureText(" ").width;
  const wordEnd = new Map(data.words);
  let [x, y] = [0, 80];
  for (let i = 0; i < answerCount; i++) {
    const token = data.tokens[i];
    const text = cutTo(pen, token.shown.slice(leadOf(token)), WIDE);
    const width = pen.measureText(text).width;
    // A line ends before a word that does not fit; only a word wider than the drawing is broken.
    const word = range(i, wordEnd.get(i) ?? i).reduce((sum, k) => sum + pen.measureText(data.tokens[k].shown).width, 0);
    if (x > 0 && x + blank + Math.max(width, Math.min(word, WIDE)) > WIDE) [x, y] = [0, y + LINE];
    else if (x > 0) x += leadOf(token) * blank;
    const gain = data.gainBits[i] ?? 0;
    const tall = (Math.abs(gain) / mostGain) * GAIN;
    const fill = VERDICT[token.label];
    root.append(
      shape("rect", { x, y: y - SIZE, width, height: SIZE + 4, fill, "fill-opacity": 0.25 }),
      shape("line", {
        x1: x,
        y1: y + 5,
        x2: x + width,
        y2: y + 5,
        stroke: fill === VERDICT.neither || fill === VERDICT["cannot tell"] ? "#777" : fill,
        "stroke-width": 2,
        "stroke-dasharray": DASHES[token.label],
      }),
      shape("text", { x, y }, text),
      shape("rect", {
        x,
        y: gain < 0 ? y + 24 : y + 24 - tall,
        width: Math.max(1, width - 1),
        height: Math.max(0.5, tall),
        fill: gain < 0 ? "#b25706" : "#5e4a9e",
      }),
    );
    x += width;
    if (token.text.includes("\n")) [x, y] = [0, y + LINE];
  }
  const high = y + 56;
  root.prepend(shape("rect", { width: WIDE, height: high, fill: "#fff" }));
  root.append(
    shape(
      "text",
      { x: 0, y: high - 8, "font-size": 11 },
      `bars: gain, log p tuned − log p base, at most ${number(mostGain)} bits; lines: documents solid, base dashed, neither dotted, cannot tell dashed and dotted`,
    ),
  );
  root.setAttribute("width", WIDE);
  root.setAttribute("height", high);
  root.setAttribute("viewBox", `0 0 ${WIDE} ${high}`);
  return new XMLSerializer().serializeToString(root);
}

/** Text that is at most `room` wide under a canvas's pen: cut, at least its first letter stays, with an ellipsis. */
export function cutTo(pen, text, room) {
  if (pen.measureText(text).width <= room) return text;
  const letters = Array.from(text);
  while (letters.length > 1 && pen.measureText(`${letters.join("")}…`).width > room) letters.pop();
  return `${letters.join("")}…`;
}
