/* All kept sections in document order: a bar each, document boundaries, the control texts' range; a click jumps. */

import { styled } from "./colours.js";
import { data, mapperNamed, sectionCount, sectionIndex, sectionScores } from "./data.js";
import { byId, make, number, signed, visible } from "./dom.js";
import { cutTo } from "./exports.js";
import { sized } from "./heads.js";
import { change, listen, state } from "./state.js";
import { explainHover } from "./tip.js";

const MAP_TALL = 40; // pixels of the bars
const MAP_NAMES = 15; // pixels of the documents' names
const LEAST_NAME = 6; // characters from which a cut name still says something
const MAP_THICK = 18; // pixels of the widest bar
const MAP_ABOVE = 7; // pixels of the markers

const LEAST_SCORED = 0.6; // of the width that the scored sections have, however few they are

let waiting = 0;

/** Share of the width that the scored sections have; the rest is an empty track. */
function scoredShare() {
  return unscored() > 0 ? Math.max(LEAST_SCORED, data.sectionsScored / data.sectionsTotal) : 1;
}

function unscored() {
  return data.sectionsTotal - data.sectionsScored;
}

export function mountMinimap() {
  const root = byId("minimap");
  if (!sectionCount) {
    root.remove();
    return;
  }
  root.append(
    make(
      "div",
      { class: "map-head" },
      make("h2", {}, "All documents"),
      make("span", { class: "note", id: "map-what" }),
    ),
    make("canvas", {
      id: "map",
      role: "img",
      "aria-label": `${sectionCount} sections in document order; the list above holds the same sections, ranked`,
    }),
  );
  const canvas = byId("map");
  canvas.addEventListener("click", (event) => {
    const index = bestAt(event.clientX);
    if (index >= 0) change({ section: index });
  });
  explainHover(root, "canvas", (_, event) => {
    const index = bestAt(event.clientX);
    if (index < 0) return null;
    const found = sectionScores(state.mapper, state.first, state.last);
    const section = data.sections[index];
    return [
      visible(section.title),
      visible(`${section.document} ${section.lines}`),
      `${state.model} ${number(found[state.model].scores[index])} · control 95% ${number(found[state.model].high)}`,
    ];
  });
  new ResizeObserver(later).observe(root);
  listen((changed) => {
    if (["first", "last", "model", "mapper", "section", "pins", "theme"].some((name) => changed.has(name))) later();
  });
}

function later() {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(drawMinimap);
}

/** The best section under a place: where there are more sections than pixels, several share one. */
function bestAt(x) {
  if (!mapperNamed(state.mapper)) return -1;
  const box = byId("map").getBoundingClientRect();
  const wide = box.width * scoredShare();
  if (x - box.left >= wide) return -1;
  const place = ((x - box.left) / wide) * sectionCount;
  const reach = Math.max(0, sectionCount / wide - 1); // sections beside the one under the pixel
  const { scores } = sectionScores(state.mapper, state.first, state.last)[state.model];
  let best = -1;
  const last = Math.min(sectionCount - 1, Math.floor(place + reach));
  for (let i = Math.max(0, Math.floor(place)); i <= last; i++) if (best < 0 || scores[i] > scores[best]) best = i;
  return best;
}

export function drawMinimap() {
  const canvas = byId("map");
  if (!canvas || !mapperNamed(state.mapper)) return;
  const all = byId("minimap").clientWidth - 32;
  if (all <= 0) return;
  const pen = sized(canvas, all, MAP_ABOVE + MAP_TALL + MAP_NAMES);
  const wide = all * scoredShare();
  const colours = Object.fromEntries(
    ["soft", "rule", "neither", "evidence", "more", "less"].map((name) => [name, styled(name)]),
  );
  const found = sectionScores(state.mapper, state.first, state.last);
  const { scores, high, low: under } = found[state.model];
  const centred = state.model === "difference";
  const [low, top] = centred ? [-found.span, found.span] : [found.low, found.high];
  const y = (value) => MAP_ABOVE + MAP_TALL * (1 - (value - low) / (top - low));
  const cell = wide / sectionCount;
  const gap = cell > 4 ? 1 : 0;

  const banded = Number.isFinite(high) && (!centred || found.mapper.usesModel);
  if (banded && centred) nullBand(pen, wide, y(high), y(under), colours);
  else if (banded) nullBand(pen, wide, y(Math.max(0, high)), y(Math.min(0, low)), colours);
  for (let i = 0; i < sectionCount; i++) {
    const value = scores[i];
    if (!Number.isFinite(value)) continue;
    pen.fillStyle = centred
      ? value < 0
        ? colours.less
        : colours.more
      : value > high
        ? colours.evidence
        : colours.neither;
    const [from, to] = [y(Math.max(0, value)), y(Math.min(0, value))];
    const thick = Math.max(1, Math.min(MAP_THICK, cell - gap));
    pen.fillRect(cell > MAP_THICK ? (i + 0.5) * cell - thick / 2 : i * cell, from, thick, Math.max(1, to - from));
  }
  pen.strokeStyle = colours.neither;
  pen.beginPath();
  pen.moveTo(0, Math.round(y(0)) + 0.5);
  pen.lineTo(wide, Math.round(y(0)) + 0.5);
  pen.stroke();
  documents(pen, wide, cell, colours);
  emptyTrack(pen, wide, all, colours);
  markers(pen, cell, colours);
  const scored = unscored() > 0 ? `${data.sectionsScored} scored of ${data.sectionsTotal.toLocaleString("en")} · ` : "";
  byId("map-what").textContent = scored + mapSaid(found, centred, banded);
}

function mapSaid(found, centred, banded) {
  const { high, low } = found[state.model];
  if (!found.mapper.base.controlWhole.length) return "no control texts";
  if (!banded && !centred) return "no hatching for several tokens: single control texts were dropped for size";
  if (!centred) return `hatched: scores like 95% of the control texts' (≤ ${number(high)})`;
  return `tuned − base, around zero${banded ? `; hatched: 90% of the control texts' (${signed(low)} to ${signed(high)})` : ""}`;
}

/** Sections that were not scored: nothing is known of them. */
function emptyTrack(pen, from, to, colours) {
  if (to - from < 2) return;
  pen.strokeStyle = colours.rule;
  pen.setLineDash([3, 3]);
  pen.strokeRect(from + 4.5, MAP_ABOVE + 0.5, to - from - 5, MAP_TALL - 1);
  pen.setLineDash([]);
  pen.fillStyle = colours.soft;
  pen.font = "11px system-ui, sans-serif";
  pen.fillText(cutTo(pen, `${unscored().toLocaleString("en")} not scored`, to - from - 16), from + 12, MAP_ABOVE + MAP_TALL / 2 + 4);
}

function nullBand(pen, wide, from, to, colours) {
  pen.save();
  pen.beginPath();
  pen.rect(0, from, wide, to - from);
  pen.clip();
  pen.strokeStyle = colours.rule;
  pen.lineWidth = 1;
  pen.beginPath();
  for (let x = -(to - from); x < wide; x += 6) {
    pen.moveTo(x, to);
    pen.lineTo(x + (to - from), from);
  }
  pen.stroke();
  pen.restore();
  pen.fillStyle = colours.neither;
  pen.fillRect(0, Math.round(from), wide, 1);
}

function documents(pen, wide, cell, colours) {
  pen.font = "11px system-ui, sans-serif";
  let start = 0;
  for (let i = 1; i <= sectionCount; i++) {
    if (i < sectionCount && data.sections[i].document === data.sections[start].document) continue;
    pen.fillStyle = colours.neither;
    if (start > 0) pen.fillRect(Math.round(start * cell), MAP_ABOVE, 1, MAP_TALL + MAP_NAMES);
    const name = fitted(pen, visible(data.sections[start].document), (i - start) * cell - 8);
    pen.fillStyle = colours.soft;
    pen.fillText(name, start * cell + 4, MAP_ABOVE + MAP_TALL + 12);
    start = i;
  }
}

/** A name as far as it fits, or nothing where too little of it would be left. */
function fitted(pen, text, room) {
  const cut = cutTo(pen, text, room);
  return cut === text || Array.from(cut).length > LEAST_NAME ? cut : "";
}

function markers(pen, cell, colours) {
  const mark = (index, draw) => draw((index + 0.5) * cell);
  pen.fillStyle = colours.soft;
  for (const id of state.pins) {
    mark(sectionIndex(id), (x) => pen.fillRect(x - 2, 1, 4, 4));
  }
  if (state.section >= 0) {
    mark(state.section, (x) => {
      pen.beginPath();
      pen.moveTo(x - 5, 0);
      pen.lineTo(x + 5, 0);
      pen.lineTo(x, MAP_ABOVE);
      pen.fill();
      pen.globalAlpha = 0.25;
      pen.fillRect(x - 0.5, MAP_ABOVE, 1, MAP_TALL);
      pen.globalAlpha = 1;
    });
  }
}
