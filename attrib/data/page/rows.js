/* Rows of the list of sections: scores as bars beside the control texts', the text with its match marked. */

import { data, isSure, matches, sectionCount, sectionIndex, smallestQ } from "./data.js";
import { count, make, number, percent, signed, visible } from "./dom.js";
import { state } from "./state.js";

const SNIPPET = 230; // characters of a closed section
const LONG_MATCH = 90; // characters from which a match is marked more quietly

/** One number of base, tuned and difference each. */
function triple(found, read) {
  return { base: read(found.base), tuned: read(found.tuned), difference: read(found.difference) };
}

/** Two bars on one axis, base over tuned, or the difference around zero; a tick: 95% of control texts lie below. */
function bars(found, values) {
  const chart = make("div", { class: "bars", "aria-hidden": "true" });
  const high = triple(found, (side) => side.high);
  if (state.model === "difference") {
    const share = (value) => 0.5 + value / found.span / 2;
    const value = values.difference;
    chart.classList.add("centred");
    chart.append(
      bar(value < 0 ? "less" : "more", share(Math.min(0, value)), share(Math.max(0, value)), share(0), "zero"),
    );
    if (found.mapper.usesModel) sign(chart.lastChild, share(high.difference), "tick");
    return chart;
  }
  const share = (value) => (value - found.low) / (found.high - found.low);
  const span = (value) => [share(Math.min(0, value)), share(Math.max(0, value))];
  if (found.mapper.usesModel) chart.append(bar("base", ...span(values.base), share(high.base), "tick"));
  chart.append(bar("tuned", ...span(values.tuned), share(high.tuned), "tick"));
  if (found.low < 0) for (const track of chart.children) sign(track, share(0), "zero");
  return chart;
}

function bar(kind, from, to, place, kindOfSign) {
  const fill = make("span", { class: "fill" });
  fill.style.left = `${100 * from}%`;
  fill.style.width = `${Math.max(0, 100 * (to - from))}%`;
  const track = make("span", { class: `track ${kind}` }, fill);
  sign(track, place, kindOfSign);
  return track;
}

/** A sign at a share of a bar's track, where there is one. */
function sign(track, share, kind) {
  if (!Number.isFinite(share)) return;
  const line = make("span", { class: kind });
  line.style.left = `${100 * share}%`;
  track.append(line);
}

function figures(found, values) {
  if (!found.mapper.usesModel || !state.numbers) return null;
  const strong = (model, text) => make(state.model === model ? "b" : "span", {}, text);
  return make(
    "span",
    { class: "figures" },
    strong("base", `base ${number(values.base)}`),
    " ",
    strong("tuned", `tuned ${number(values.tuned)}`),
    " ",
    strong("difference", `Δ ${signed(values.difference)}`),
  );
}

function headline(score) {
  const text = Math.abs(score) < 10 ? score.toFixed(2) : number(score);
  const plus = state.model === "difference" && score > 0 ? "+" : "";
  return make("span", { class: "score" }, Number.isFinite(score) ? plus + text.replace("-", "−") : "–");
}

/** Is a score like most control texts'? Models: at most their 95%; the difference: between their 5% and 95%. */
function isOrdinary(side, score) {
  return score <= side.high && (state.model !== "difference" || score >= side.low);
}

/** A q in words that agree with its mark: below the limit is never printed as the limit, and nothing as 0. */
function qText(q, sure) {
  const limit = data.settings.significant;
  if (Number.isNaN(q)) return "";
  if (q < 0.001) return "q < 0.001";
  return sure && Number(q.toPrecision(2)) >= limit ? `q < ${limit}` : `q ${number(q)}`;
}

/** One section: rank, title, score, bars, text around its match (`whole`: all of it). */
export function sectionRow(found, index, { rank, pinned, whole }) {
  const section = data.sections[index];
  const values = triple(found, (side) => side.scores[index]);
  const q = state.model === "difference" ? NaN : smallestQ(found.mapper, state.model, index, state.first, state.last);
  const sure = state.model !== "difference" && isSure(found.mapper, state.model, index, state.first, state.last);
  const dim = isOrdinary(found[state.model], values[state.model]) && !sure;
  const item = make("li", { class: "section", "data-index": index });
  item.classList.toggle("null", dim);
  item.classList.toggle("pinned", pinned);
  item.classList.toggle("chosen", state.section === index);
  item.append(
    make("div", { class: "rank" }, make("span", { class: "unseen" }, "rank "), String(rank)),
    make(
      "div",
      { class: "head" },
      make(
        "button",
        { type: "button", class: "pick", "aria-pressed": String(state.section === index), dir: "auto" },
        visible(section.title),
      ),
      sure
        ? make(
            "span",
            { class: "dot", title: qText(q, sure) },
            "•",
            make("span", { class: "unseen" }, "beyond chance"),
          )
        : null,
      headline(values[state.model]),
    ),
    make(
      "div",
      { class: "place" },
      whereabouts(section),
      ...remarks(section, qText(q, sure), dim),
      acts(section, whole, pinned),
    ),
    make(
      "div",
      { class: "measure" },
      bars(found, values),
      figures(found, values),
    ),
    sectionText(index, whole),
  );
  return item;
}

function acts(section, whole, pinned) {
  return make(
    "span",
    { class: "acts" },
    make(
      "button",
      {
        type: "button",
        class: "quiet open",
        "aria-expanded": String(whole),
        "aria-label": `Open ${visible(section.title)}`,
      },
      whole ? "⊖ close" : "⊕ open",
    ),
    make(
      "button",
      {
        type: "button",
        class: "quiet pin",
        "aria-pressed": String(pinned),
        "aria-label": `Pin ${visible(section.title)}`,
      },
      pinned ? "unpin" : "pin",
    ),
  );
}

function whereabouts(section) {
  return make("span", { dir: "auto" }, visible(`${section.document} ${section.lines}`));
}

function remarks(section, qSaid, dim) {
  const said = [`learned ${percent(section.learned)}`];
  if (state.numbers)
    said.push(
      `own gain ${signed(section.gainBits)} bits a token`,
      ...(qSaid ? [qSaid] : []),
      `rank in the verdict ${section.rank}`,
      section.id,
    );
  if (section.nearDuplicateOf) {
    const twin = data.sections[sectionIndex(section.nearDuplicateOf)];
    said.push(`near-duplicate of ${visible(twin ? `${twin.title} ${twin.lines}` : section.nearDuplicateOf)}`);
  }
  if (dim) said.push("within the control texts' range");
  return said.map((text) => make("span", { class: "remark" }, text));
}

/** A section's text as characters, as the record counts them. */
function characters(text) {
  return /[\ud800-\udfff]/.test(text) ? Array.from(text) : text;
}

/** The text around the first match, or all of it where the section is open; matches are marked, turns have roles. */
export function sectionText(index, whole) {
  const section = data.sections[index];
  const text = characters(section.text);
  const spans = matches(state.mapper, state.model, index, state.first, state.last).filter(
    (span) => span[0] < text.length,
  );
  // The title stands above already: a closed section starts with its text.
  const heading = text.indexOf("\n") + 1;
  const skip =
    !whole && section.title.endsWith(cut(text, 0, heading).trim()) && !(spans[0]?.[1] <= heading)
      ? heading
      : 0;
  const start = whole
    ? 0
    : Math.max(skip, Math.min((spans[0]?.[0] ?? 0) - Math.round(SNIPPET / 4), text.length - SNIPPET));
  const end = whole ? text.length : Math.min(text.length, start + SNIPPET);
  const box = make("div", { class: whole ? "text whole" : "text", dir: "auto" });
  const nodes = section.turns.length
    ? conversation(section, text, spans, start, end, whole)
    : [make("span", {}, markedText(text, spans, start, end, whole))];
  const words = (node) => node?.querySelector(".said") ?? node;
  if (start > skip) words(nodes[0])?.prepend("…");
  if (end < text.length) words(nodes.at(-1))?.append("…");
  box.append(...nodes);
  if (whole && section.cut)
    box.append(make("div", { class: "note" }, "The rest of this text was dropped from the page."));
  return box;
}

function cut(text, from, to) {
  return typeof text === "string" ? text.slice(from, to) : text.slice(from, to).join("");
}

/** Characters start … end as text nodes and marks; on one line unless all of the section is shown. */
function markedText(text, spans, start, end, whole) {
  const show = (from, to) =>
    visible(whole ? cut(text, from, to) : cut(text, from, to).replace(/\s+/g, " "), whole ? "\n" : "");
  const nodes = [];
  let done = start;
  for (const [from, to] of spans) {
    let [left, right] = [Math.max(from, done), Math.min(to, end)];
    while (left < right && /\s/.test(text[left])) left += 1;
    while (left < right && /\s/.test(text[right - 1])) right -= 1;
    if (left >= right) continue;
    nodes.push(show(done, left), make("mark", { class: right - left > LONG_MATCH ? "long" : null }, show(left, right)));
    done = right;
  }
  nodes.push(show(done, end));
  return nodes;
}

/** The same of a conversation, an element a turn: its role, its text, and whether it was trained. */
function conversation(section, text, spans, start, end, whole) {
  const overlaps = ([, , from, to]) => Math.max(from, start) < Math.min(to, end);
  const shown = section.turns.filter((turn) => overlaps(turn) || (whole && turn[4]));
  const turns = shown.map(([role, trained, from, to, extra]) =>
    make(
      "div",
      { class: trained ? "turn trained" : "turn" },
      make("span", { class: "role" }, visible(role), trained ? make("b", {}, " trained") : null),
      make(
        "span",
        { class: "said", dir: "auto" },
        markedText(text, spans, Math.max(from, start), Math.min(to, end), whole),
      ),
      // Calls of tools and the like, which the search does not see.
      whole && extra ? make("code", { class: "extra" }, visible(extra)) : null,
    ),
  );
  const heading = Math.min(section.turns[0][2], end); // the characters before the first turn
  return start < heading ? [make("div", {}, markedText(text, spans, start, heading, whole)), ...turns] : turns;
}

/** The best control text at its place among the sections, and what the signs in the list mean. */
export function controlRow(found, rank) {
  const values = triple(found, (side) => side.control);
  const texts = count(found.mapper.base.controlWhole.length, "control text");
  // Where single control texts were dropped, several tokens have no spread, and their best is a limit.
  const whole = Number.isFinite(found[state.model].high);
  const { noDots } = state.model === "base" ? found.mapper.base : (found.mapper.tuned ?? found.mapper.base);
  const said = [
    `best of ${texts}${state.model === "difference" ? " by tuned − base" : ""}`,
    whole ? `: would be rank ${rank} · ` : `${placeSaid(found, rank)} · `,
    whole ? "tick: 95% of them lie below" : "no tick and no shading for several tokens: dropped for size",
    state.model === "difference" || noDots ? "" : ` · dot: q < ${data.settings.significant}`,
  ];
  return extraRow("Best control text (never trained on)", values, said.join(""), [
    make("div", { class: "measure" }, bars(found, values), figures(found, values)),
  ]);
}

/** The best of the sections that the page leaves out. */
export function otherRow(found, rank) {
  return extraRow(
    "Best section that this page leaves out",
    triple(found, (side) => side.other),
    `one of ${count(data.sectionsScored - sectionCount, "section")} dropped for size${placeSaid(found, rank)}`,
    [],
  );
}

/** The place of a best that is known for each token only: of several tokens such bests are no one text's. */
function placeSaid(found, rank) {
  const exact = state.last === state.first || (found.mapper.fold === "max" && state.model !== "difference");
  return exact
    ? `: would be rank ${rank}`
    : `, at each token its own best, so at most this: would be rank ${rank} or lower`;
}

function extraRow(name, values, said, measure) {
  return make(
    "li",
    { class: "control" },
    make("div", { class: "rank", "aria-hidden": "true" }, "–"),
    make("div", { class: "head" }, make("span", { class: "pick" }, name), headline(values[state.model])),
    ...measure,
    make("div", { class: "place" }, said),
  );
}
