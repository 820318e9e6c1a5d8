/* Rows of the list of sections: scores as bars beside the control texts', the text with its match marked. */

import { data, explained, matches, sectionCount, smallestQ } from "./data.js";
import { count, make, number, percent, signed, visible } from "./dom.js";
import { state } from "./state.js";

const SNIPPET = 230; // characters of a closed section
const LONG_MATCH = 90; // characters from which a match is marked more quietly

/** Two bars on one axis, base over tuned, or the difference around zero; a tick: 95% of control texts lie below. */
function bars(found, base, tuned, high) {
  const chart = make("div", { class: "bars", "aria-hidden": "true" });
  if (state.model === "difference") {
    const value = tuned - base;
    chart.classList.add("centred");
    chart.append(
      bar(
        value < 0 ? "less" : "more",
        0.5 + Math.min(0, value) / found.span / 2,
        0.5 + Math.max(0, value) / found.span / 2,
        0.5,
      ),
    );
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
  return make(
    "span",
    { class: "figures" },
    strong("base", `base ${number(base)}`),
    " ",
    strong("tuned", `tuned ${number(tuned)}`),
    " ",
    strong("difference", `Δ ${signed(tuned - base)}`),
  );
}

function headline(found, scores) {
  return make("span", { class: "score" }, state.model === "difference" ? signed(scores) : number(scores));
}

/** One section: rank, title, score, bars, text around its match (`whole`: all of it). */
export function sectionRow(found, index, { rank, pinned, whole }) {
  const section = data.sections[index];
  const [base, tuned] = [found.base.scores[index], found.tuned.scores[index]];
  const own = found[state.model];
  const below = own.scores[index] <= own.high;
  const q = state.model === "difference" ? NaN : smallestQ(found.mapper, state.model, index, state.first, state.last);
  // Not by the q that is shown: that one has only 8 bits.
  const backed = state.model === "difference" ? [] : explained(state.mapper, state.model, index).sure;
  const sure = backed.some((token) => state.first < 0 || (token >= state.first && token <= state.last));
  const item = make("li", { class: "section", "data-index": index });
  item.classList.toggle("null", below && !sure);
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
            { class: "dot", title: `q ${number(q)}` },
            "•",
            make("span", { class: "unseen" }, "beyond chance"),
          )
        : null,
      headline(found, own.scores[index]),
    ),
    make(
      "div",
      { class: "place" },
      whereabouts(section),
      ...remarks(section, q, below && !sure),
      acts(section, whole, pinned),
    ),
    make(
      "div",
      { class: "measure" },
      bars(found, base, tuned, { base: found.base.high, tuned: found.tuned.high }),
      figures(found, base, tuned),
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
  return make("span", { class: "where", dir: "auto" }, visible(`${section.document} ${section.lines}`));
}

function remarks(section, q, dim) {
  const said = [`learned ${percent(section.learned)}`];
  if (state.numbers)
    said.push(
      `own gain ${signed(section.gainBits)} bits a token`,
      `q ${number(q)}`,
      `rank in the verdict ${section.rank}`,
      section.id,
    );
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
export function sectionText(index, whole) {
  const section = data.sections[index];
  const text = characters(section.text);
  const part = (from, to) => (typeof text === "string" ? text.slice(from, to) : text.slice(from, to).join(""));
  const spans = matches(state.mapper, state.model, index, state.first, state.last).filter(
    (span) => span[0] < text.length,
  );
  // The title stands above already: a closed section starts with its text.
  const heading = section.text.indexOf("\n") + 1;
  const skip =
    !whole && section.title.endsWith(section.text.slice(0, heading).trim()) && !(spans[0]?.[1] <= heading)
      ? heading
      : 0;
  const start = whole
    ? 0
    : Math.max(skip, Math.min((spans[0]?.[0] ?? 0) - Math.round(SNIPPET / 4), text.length - SNIPPET));
  const end = whole ? text.length : Math.min(text.length, start + SNIPPET);
  const show = (from, to) => visible(whole ? part(from, to) : part(from, to).replace(/\s+/g, " "), whole ? "\n" : "");
  const box = make("div", { class: whole ? "text whole" : "text", dir: "auto" }, start > skip ? "…" : "");
  let done = start;
  for (const [from, to] of spans) {
    let [left, right] = [Math.max(from, done), Math.min(to, end)];
    while (left < right && /\s/.test(text[left])) left += 1;
    while (left < right && /\s/.test(text[right - 1])) right -= 1;
    if (left >= right) continue;
    box.append(show(done, left), make("mark", { class: right - left > LONG_MATCH ? "long" : null }, show(left, right)));
    done = right;
  }
  box.append(show(done, end), end < text.length ? "…" : "");
  if (whole && section.cut)
    box.append(make("div", { class: "note" }, "The rest of this text was dropped from the page."));
  return box;
}

/** The best control text at its place among the sections, and what the signs in the list mean. */
export function controlRow(found, rank) {
  const { base, tuned } = found;
  const item = make(
    "li",
    { class: "control" },
    make("div", { class: "rank", "aria-hidden": "true" }, "–"),
    make(
      "div",
      { class: "head" },
      make("span", { class: "pick" }, "Best control text (never trained on)"),
      headline(found, found[state.model].control),
    ),
    make(
      "div",
      { class: "measure" },
      bars(found, base.control, tuned.control, { base: base.high, tuned: tuned.high }),
      figures(found, base.control, tuned.control),
    ),
    make(
      "div",
      { class: "place" },
      `best of ${count(data.control.count, "control text")}${state.last > state.first ? ", at each token its own best" : ""}: would be rank ${rank} · tick: 95% of them lie below · dot: q < ${data.settings.significant}`,
    ),
  );
  if (state.model === "difference") item.lastChild.textContent = "best control text under tuned − best under base";
  return item;
}

/** The best of the sections that the page leaves out. */
export function otherRow(found, rank) {
  return make(
    "li",
    { class: "control" },
    make("div", { class: "rank", "aria-hidden": "true" }, "–"),
    make(
      "div",
      { class: "head" },
      make("span", { class: "pick" }, "Best section that this page leaves out"),
      headline(found, found[state.model].other),
    ),
    make(
      "div",
      { class: "place" },
      `one of ${count(data.sectionsScored - sectionCount, "section")} dropped for size; would be rank ${rank}`,
    ),
  );
}
