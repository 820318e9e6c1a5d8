/* The record behind the page: arrays are decoded when first asked for, scores are reduced to a selection. */

import { byId } from "./dom.js";

export const LABELS = ["documents", "base", "neither"];
/** A verdict: one of LABELS, or that the evidence is too weak for any. */
export const CALLS = [...LABELS, "cannot tell"];
export const data = JSON.parse(byId("attrib-data").textContent);
/** A blank that shows. Fonts have this sign more often than the ␠ of the record, which else is drawn as an empty box. */
export const BLANK = "␣";
for (const token of [...data.prompt, ...data.tokens])
  token.shown = token.shown.replaceAll("␠", BLANK).replaceAll("␍", "↩");

export const answerCount = data.tokens.length;
export const promptCount = data.prompt.length;
export const sectionCount = data.sections.length;
/** Largest |gain| of a token in bits: what gain bars are drawn against. */
export const mostGain = Math.max(1e-9, ...data.gainBits.map((gain) => Math.abs(gain ?? 0)));

const CODES = { u8: [Uint8Array, 254], u16: [Uint16Array, 65534], i32: [Int32Array, 0], bits: [Uint8Array, 0] };
const decoded = new Map();

/** The raw codes of an array of the record, decoded once. */
function codes(array) {
  if (!decoded.has(array)) {
    const text = atob(array.b);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    decoded.set(array, new CODES[array.t][0](bytes.buffer));
  }
  return decoded.get(array);
}

/** `compute`, which keeps its last result for as long as it is asked for the same: numbers, or what has a name. */
function keeping(compute) {
  let last = { key: null, result: null };
  return (...wanted) => {
    const key = wanted.map((one) => one.name ?? one).join(" ");
    if (last.key !== key) last = { key, result: compute(...wanted) };
    return last.result;
  };
}

/** One number of an array: its value, NaN where there is none. */
export function at(array, index) {
  const top = CODES[array.t][1];
  const code = codes(array)[index];
  if (top === 0) return code;
  return code > top ? NaN : array.lo + (code / top) * (array.hi - array.lo);
}

/** What a section with a high score does to answer tokens under a model; null where the score does not look at them. */
export function verbOf(mapper, model, section) {
  const learned = data.sections[section].learned >= data.settings.learned;
  return mapper.verbs && mapper.verbs[model === "base" ? "base" : learned ? "tuned" : "untrained"];
}

/** Is a cell of an array of yes and no set? */
function isSet(array, cell) {
  return ((codes(array)[cell >> 3] >> (cell & 7)) & 1) === 1;
}

const wordOfToken = new Int32Array(answerCount);
data.words.forEach(([first, last], word) => wordOfToken.fill(word, first, last + 1));

/** First and last token of the word that holds a token. */
export function wordAt(token) {
  return data.words[wordOfToken[token]] ?? [token, token];
}

/** Does a token start with a blank and go on? */
export function leadsBlank(token) {
  return token.shown.startsWith(BLANK) && token.shown.length > 1;
}

const indexOfId = new Map();
data.sections.forEach(({ id }, index) => indexOfId.has(id) || indexOfId.set(id, index));

/** Place of the section with an id, the first of several; −1: there is none. */
export function sectionIndex(id) {
  return indexOfId.get(id) ?? -1;
}

/** The answer's tokens first … last as people read them; the whole answer's name where nothing is selected. */
export function selectionText(first, last) {
  if (first < 0) return "the whole answer";
  const shown = data.tokens
    .slice(first, last + 1)
    .map((token) => token.shown)
    .join("");
  const bare = shown.replaceAll(BLANK, " ").trim();
  const letters = Array.from(bare || shown);
  return letters.length > 40 ? `${letters.slice(0, 39).join("")}…` : letters.join("");
}

/** The same within a sentence: a selection stands between quotes. */
export function quotedSelection(first, last) {
  const selected = selectionText(first, last);
  return first < 0 ? selected : `‹${selected}›`;
}

export function mapperNamed(name) {
  return data.mappers.find((mapper) => mapper.name === name) ?? null;
}

export function methodNamed(name) {
  return data.methods.find((method) => method.name === name) ?? null;
}

/** One model's side of a mapper; mappers that read only the text have one for both. */
function sideOf(mapper, model) {
  return model === "base" ? mapper.base : (mapper.tuned ?? mapper.base);
}

/** Several scores as one, by `how` a mapper's or method's tokens are put together; NaN for none. */
export function reduce(values, how) {
  let sum = 0;
  let most = -Infinity;
  let seen = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    sum += value;
    if (value > most) most = value;
    seen += 1;
  }
  return folded(sum, most, seen, how);
}

function folded(sum, most, seen, how) {
  if (!seen) return NaN;
  return how === "sum" ? sum : how === "max" ? most : sum / seen;
}

/** Scores [token × column] of the tokens first … last as one number a column. */
function columnScores(array, fold, first, last) {
  const all = codes(array);
  const width = array.n[1];
  const step = (array.hi - array.lo) / 65534;
  const scores = new Float64Array(width).fill(fold === "max" ? -Infinity : 0);
  for (let token = first; token <= last; token++) {
    for (let column = 0, cell = token * width; column < width; column++, cell++) {
      const code = all[cell];
      const value = code === 65535 ? NaN : array.lo + code * step;
      if (fold !== "max") scores[column] += value;
      else if (value > scores[column]) scores[column] = value;
    }
  }
  if (fold === "mean") for (let i = 0; i < width; i++) scores[i] /= last - first + 1;
  return scores;
}

/** A value between sorted ones: the share of them that lie below it. */
function quantile(sorted, share) {
  const place = (sorted.length - 1) * share;
  const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return below + (above - below) * (place - Math.floor(place));
}

/** The control texts' best score and where 95% and 5% of them lie below, from all of them. */
function spread(texts) {
  if (!texts.length) return { control: NaN, high: NaN, low: NaN };
  const sorted = Float64Array.from(texts).sort();
  return { control: sorted.at(-1), high: quantile(sorted, 0.95), low: quantile(sorted, 0.05) };
}

/**
 * The same where the page has only each token's: several tokens have no spread, and as their best what no control text
 * exceeds.
 */
function foldedSpread(folded, fold, first, last) {
  const one = (k, token) => at(folded, k * answerCount + token);
  const control = reduce(
    range(first, last).map((token) => one(0, token)),
    fold,
  );
  return first === last ? { control, high: one(1, first), low: one(2, first) } : { control, high: NaN, low: NaN };
}

/** The best of the sections that the page leaves out: of several tokens, what none of them exceeds. */
function bestOther(side, fold, first, last) {
  if (first < 0) return side.otherWhole ?? NaN;
  if (!side.other) return NaN;
  return reduce(
    range(first, last).map((token) => at(side.other, token)),
    fold,
  );
}

/** One model's scores of every section and every control text for some tokens (first < 0: question and answer). */
function sideScores(mapper, side, first, last) {
  const whole = (values) => Float64Array.from(values, (value) => value ?? NaN);
  const some = (array) => columnScores(array, mapper.fold, first, last);
  return {
    scores: first < 0 ? whole(side.whole) : some(side.tokens),
    texts: first < 0 ? whole(side.controlWhole) : side.control && some(side.control),
  };
}

/**
 * Base, tuned and their difference for the tokens first … last (first < 0: question and answer together), with the
 * limits that base and tuned share. `control`: best control text; `high`, `low`: 95% and 5% of control texts lie below;
 * `other`: best section not kept here. A control text is reduced over tokens as a section is, then they are compared.
 */
export const sectionScores = keeping((name, first, last) => {
  const mapper = mapperNamed(name);
  const read = (side) => side && sideScores(mapper, side, first, last);
  const full = ({ scores, texts }, side) => ({
    scores,
    ...(texts ? spread(texts) : foldedSpread(side.controlFolded, mapper.fold, first, last)),
    other: bestOther(side, mapper.fold, first, last),
  });
  const [ofBase, ofTuned] = [read(mapper.base), read(mapper.tuned)];
  const minus = (name) => ofTuned[name] && ofTuned[name].map((value, i) => value - ofBase[name][i]);
  const base = full(ofBase, mapper.base);
  const tuned = ofTuned ? full(ofTuned, mapper.tuned) : base;
  const difference = ofTuned
    ? full({ scores: minus("scores"), texts: minus("texts") }, mapper.difference)
    : { scores: base.scores.map(() => 0), control: 0 * base.control, high: 0, low: 0, other: 0 * base.other };
  const finite = [base, tuned]
    .flatMap((side) => [...limits(side.scores), side.control, side.other])
    .filter(Number.isFinite);
  const low = Math.min(0, ...finite);
  const high = Math.max(0, ...finite);
  const extremes = [...limits(difference.scores), difference.control, difference.low, difference.other];
  const span = Math.max(0, ...extremes.map((value) => Math.abs(value) || 0).filter(Number.isFinite));
  return { mapper, base, tuned, difference, low, high: high > low ? high : low + 1, span: span || 1 };
});

function limits(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** Smallest q of a section over the tokens first … last (first < 0: over all). */
export function smallestQ(mapper, model, section, first, last) {
  const { q } = sideOf(mapper, model);
  let least = NaN;
  for (let token = Math.max(first, 0); token <= (first < 0 ? answerCount - 1 : last); token++) {
    const value = at(q, token * sectionCount + section);
    if (!(value >= least)) least = value;
  }
  return least;
}

/** Has a section a score with q below the record's limit at some of the tokens first … last (first < 0: any)? */
export function isSure(mapper, model, section, first, last) {
  const { marked } = sideOf(mapper, model);
  const end = first < 0 ? answerCount - 1 : last;
  for (let token = Math.max(first, 0); token <= end; token++)
    if (isSet(marked, token * sectionCount + section)) return true;
  return false;
}

/** Tokens at which a section scores beyond chance (`sure`), others where it is above every control text (`above`). */
export function backed(name, model, section) {
  const mapper = mapperNamed(name);
  if (!mapper) return { sure: [], above: [] };
  const side = sideOf(mapper, model);
  const tokens = range(0, answerCount - 1);
  const isIn = (flags, token) => isSet(flags, token * sectionCount + section);
  return {
    sure: tokens.filter((token) => isIn(side.marked, token)),
    above: tokens.filter((token) => isIn(side.above, token) && !isIn(side.marked, token)),
  };
}

const places = new Map();

function spanRow(side, section) {
  if (!side.spans) return -1;
  if (!side.withSpan) return section;
  if (!places.has(side)) places.set(side, new Map(side.withSpan.map((index, row) => [index, row])));
  return places.get(side).get(section) ?? -1;
}

/** Matching [start, end) characters of a section for the tokens first … last, sorted and merged. */
export function matches(name, model, section, first, last) {
  const mapper = mapperNamed(name);
  if (!mapper) return [];
  const side = sideOf(mapper, model);
  const row = spanRow(side, section);
  if (row < 0) return [];
  const width = side.spans.n[1];
  const spans = codes(side.spans);
  const of = (token) => [spans[2 * (token * width + row)], spans[2 * (token * width + row) + 1]];
  if (first >= 0) return merged(range(first, last).map(of));
  const { sure, above } = backed(name, model, section);
  const best = sure.length ? sure : above.length ? above : [bestToken(side, section)];
  return merged(best.filter((token) => token >= 0).map(of));
}

function bestToken(side, section) {
  let best = -1;
  let most = -Infinity;
  for (let token = 0; token < answerCount; token++) {
    const value = at(side.tokens, token * sectionCount + section);
    if (value > most) [best, most] = [token, value];
  }
  return best;
}

export function range(first, last) {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
}

function merged(spans) {
  const found = [];
  for (const [start, end] of spans.filter((span) => span[0] < span[1]).sort((a, b) => a[0] - b[0])) {
    const before = found.at(-1);
    if (before && start <= before[1]) before[1] = Math.max(before[1], end);
    else found.push([start, end]);
  }
  return found;
}

/** One model's score of each column of a method for a selection: [column]. */
function methodSide(method, array, rows) {
  const width = method.columns.length;
  const all = codes(array);
  const top = CODES[array.t][1];
  const [sum, most] = [new Float64Array(width), new Float64Array(width).fill(-Infinity)];
  const seen = new Int32Array(width);
  for (const row of rows) {
    for (let column = 0, cell = row * width; column < width; column++, cell++) {
      if (all[cell] > top) continue;
      const value = array.lo + (all[cell] / top) * (array.hi - array.lo);
      sum[column] += value;
      if (value > most[column]) most[column] = value;
      seen[column] += 1;
    }
  }
  return sum.map((value, column) => folded(value, most[column], seen[column], method.reduction));
}

/** Base, tuned and difference of each column of a method, and which of its rows the selection touches. */
export const promptScores = keeping((method, first, last) => {
  const rows = [];
  method.rows.forEach((row, i) => {
    if (first < 0 || row.some((token) => token >= first && token <= last)) rows.push(i);
  });
  const base = methodSide(method, method.base, rows);
  const tuned = methodSide(method, method.tuned, rows);
  return { columns: method.columns, rows, base, tuned, difference: tuned.map((value, i) => value - base[i]) };
});

/** Attention of one layer and head (−1: the mean over them) on each prompt token; last: on earlier answer tokens. */
export const headScores = keeping((layer, head, first, last) => {
  const { layers, heads, positions, base, tuned } = data.heads;
  const some = (one, all) => (one < 0 ? range(0, all - 1) : [one]);
  const tokens = first < 0 ? range(0, answerCount - 1) : range(first, last);
  const side = (array) => {
    const sums = new Float64Array(positions + 1);
    const all = codes(array);
    for (const l of some(layer, layers)) {
      for (const h of some(head, heads)) {
        for (const token of tokens) {
          const row = ((l * heads + h) * answerCount + token) * (positions + 1);
          for (let column = 0; column <= positions; column++) sums[column] += all[row + column];
        }
      }
    }
    const cells = some(layer, layers).length * some(head, heads).length * tokens.length;
    return sums.map((sum) => array.lo + (sum / cells / CODES[array.t][1]) * (array.hi - array.lo));
  };
  const columns = [
    ...range(0, positions - 1).map((position) => [position]),
    range(positions, positions + answerCount - 1),
  ];
  const [b, t] = [side(base), side(tuned)];
  return { columns, rows: tokens, base: b, tuned: t, difference: t.map((value, i) => value - b[i]) };
});

/** Share of every head's attention that falls on some prompt tokens, for a selection: [layer × head]. */
export const headStrip = keeping((focus, first, last) => {
  const { layers, heads, positions, base, tuned } = data.heads;
  const from = Math.max(first, 0);
  const to = first < 0 ? answerCount - 1 : last;
  const side = (array) => {
    const all = codes(array);
    const scale = (array.hi - array.lo) / CODES[array.t][1] / (to - from + 1);
    return Float64Array.from({ length: layers * heads }, (_, cell) => {
      let sum = 0;
      for (let token = from; token <= to; token++) {
        const row = (cell * answerCount + token) * (positions + 1);
        for (const position of focus) sum += all[row + position];
      }
      return array.lo * focus.length + sum * scale;
    });
  };
  const [b, t] = [side(base), side(tuned)];
  return { base: b, tuned: t, difference: t.map((value, i) => value - b[i]) };
});

/** Probabilities of documents, base, neither: of one token, or the mean over several. */
export function verdictOf(first, last) {
  return [0, 1, 2].map((label) =>
    reduce(
      range(first, last).map((i) => at(data.tokenVerdict, 3 * i + label)),
      "mean",
    ),
  );
}

/** The verdict on some tokens, or on the answer: mixed where they disagree. */
export function labelOf(first, last) {
  if (first < 0) return data.verdict.label;
  const labels = new Set(data.tokens.slice(first, last + 1).map((token) => token.label));
  return labels.size === 1 ? [...labels][0] : "mixed";
}

/** A verdict as the name of a class in the style sheet. */
export function classOf(label) {
  return label.replace(" ", "-");
}

export function sumOver(values, first, last) {
  const some = first < 0 ? values : values.slice(first, last + 1);
  return some.reduce((sum, value) => sum + (value ?? 0), 0);
}
