/* The record behind the page: arrays are decoded when first asked for, scores are reduced to a selection. */

import { byId } from "./dom.js";

export const data = JSON.parse(byId("attrib-data").textContent);
/** A blank that shows. Fonts have this sign more often than the ␠ of the record, which else is drawn as an empty box. */
export const BLANK = "␣";
for (const token of [...data.prompt, ...data.tokens])
  token.shown = token.shown.replaceAll("␠", BLANK).replaceAll("␍", "↩");

export const answerCount = data.tokens.length;
export const promptCount = data.prompt.length;
export const sectionCount = data.sections.length;

const CODES = { u8: [Uint8Array, 254], u16: [Uint16Array, 65534], i32: [Int32Array, 0] };
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

/** One number of an array: its value, NaN where there is none. */
export function at(array, index) {
  const top = CODES[array.t][1];
  const code = codes(array)[index];
  if (top === 0) return code;
  return code > top ? NaN : array.lo + (code / top) * (array.hi - array.lo);
}

const wordOfToken = new Int32Array(answerCount);
data.words.forEach(([first, last], word) => wordOfToken.fill(word, first, last + 1));

/** First and last token of the word that holds a token. */
export function wordAt(token) {
  return data.words[wordOfToken[token]] ?? [token, token];
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

export function mapperNamed(name) {
  return data.mappers.find((mapper) => mapper.name === name) ?? null;
}

export function methodNamed(name) {
  return data.methods.find((method) => method.name === name) ?? null;
}

/** One model's side of a mapper; mappers that read only the text have one for both. */
export function sideOf(mapper, model) {
  return model === "base" ? mapper.base : (mapper.tuned ?? mapper.base);
}

function reduce(values, how) {
  let sum = 0;
  let most = -Infinity;
  let seen = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    sum += value;
    if (value > most) most = value;
    seen += 1;
  }
  if (!seen) return NaN;
  return how === "sum" ? sum : how === "max" ? most : sum / seen;
}

/**
 * One model's scores of every section for the tokens first … last (first < 0: question and answer together).
 * `control`: best control text; `high`: the 95th percentile of control texts; `other`: best section not kept here.
 * Several tokens: control texts are reduced like sections, each token by its own best, so that they come out too high
 * rather than too low.
 */
function sideScores(mapper, side, first, last) {
  if (first < 0) {
    return {
      scores: Float64Array.from(side.whole, (value) => value ?? NaN),
      control: side.controlWhole ?? NaN,
      high: side.controlWholeHigh ?? NaN,
      other: side.otherWhole ?? NaN,
    };
  }
  const all = codes(side.tokens);
  const { lo, hi } = side.tokens;
  const step = (hi - lo) / 65534;
  const scores = new Float64Array(sectionCount).fill(mapper.fold === "max" ? -Infinity : 0);
  for (let token = first; token <= last; token++) {
    for (let section = 0, cell = token * sectionCount; section < sectionCount; section++, cell++) {
      const code = all[cell];
      const value = code === 65535 ? NaN : lo + code * step;
      if (mapper.fold !== "max") scores[section] += value;
      else if (value > scores[section]) scores[section] = value;
    }
  }
  if (mapper.fold === "mean") for (let i = 0; i < sectionCount; i++) scores[i] /= last - first + 1;
  const few = (values) => (values && values.length ? reduce(values.slice(first, last + 1), mapper.fold) : NaN);
  return { scores, control: few(side.control), high: few(side.controlHigh), other: few(side.other) };
}

let lastScores = { key: "" };

/** Base, tuned and their difference for a selection, with the limits that base and tuned share. */
export function sectionScores(name, first, last) {
  const key = `${name} ${first} ${last}`;
  if (lastScores.key === key) return lastScores;
  const mapper = mapperNamed(name);
  const base = sideScores(mapper, mapper.base, first, last);
  const tuned = mapper.tuned ? sideScores(mapper, mapper.tuned, first, last) : base;
  const scores = tuned.scores.map((value, i) => value - base.scores[i]);
  const difference = { scores, control: tuned.control - base.control, high: NaN, other: tuned.other - base.other };
  const both = [base, tuned].flatMap((side) => [limits(side.scores), [side.control], [side.other]]).flat();
  const finite = both.filter(Number.isFinite);
  const low = Math.min(0, ...finite);
  const high = Math.max(0, ...finite);
  const span = Math.max(0, ...limits(scores).map(Math.abs), Math.abs(difference.control) || 0);
  lastScores = { key, mapper, base, tuned, difference, low, high: high > low ? high : low + 1, span: span || 1 };
  return lastScores;
}

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

const backing = new Map();

/** Answer tokens that a section backs with q below the record's limit: section → tokens. */
function backedTokens(side) {
  if (!backing.has(side)) {
    const found = new Map();
    for (const cell of side.marked) {
      const section = cell % sectionCount;
      if (!found.has(section)) found.set(section, []);
      found.get(section).push(Math.floor(cell / sectionCount));
    }
    backing.set(side, found);
  }
  return backing.get(side);
}

/** What a section explains: tokens beyond chance (`sure`), and else tokens above every control text (`above`). */
export function explained(name, model, section) {
  const mapper = mapperNamed(name);
  if (!mapper) return { sure: [], above: [] };
  const side = sideOf(mapper, model);
  const sure = backedTokens(side).get(section) ?? [];
  const above = [];
  for (let token = 0; token < answerCount && side.control.length; token++) {
    if (at(side.tokens, token * sectionCount + section) > side.control[token]) above.push(token);
  }
  return { sure, above };
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
  const { sure, above } = explained(name, model, section);
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
  return Float64Array.from({ length: width }, (_, column) =>
    reduce(
      rows.map((row) => at(array, row * width + column)),
      method.reduction,
    ),
  );
}

/** Base, tuned and difference of each column of a method, and which of its rows the selection touches. */
export function promptScores(method, first, last) {
  const rows = [];
  method.rows.forEach((row, i) => {
    if (first < 0 || row.some((token) => token >= first && token <= last)) rows.push(i);
  });
  const base = methodSide(method, method.base, rows);
  const tuned = methodSide(method, method.tuned, rows);
  return { columns: method.columns, rows, base, tuned, difference: tuned.map((value, i) => value - base[i]) };
}

/** Attention of one layer and head (−1: the mean over them) on each prompt token; last: on earlier answer tokens. */
export function headScores(layer, head, first, last) {
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
    return sums.map((sum) => array.lo + (sum / cells / 254) * (array.hi - array.lo));
  };
  const columns = [
    ...range(0, positions - 1).map((position) => [position]),
    range(positions, positions + answerCount - 1),
  ];
  const [b, t] = [side(base), side(tuned)];
  return { columns, rows: tokens, base: b, tuned: t, difference: t.map((value, i) => value - b[i]) };
}

/** Share of every head's attention that falls on some prompt tokens, for a selection: [layer × head]. */
export function headStrip(focus, first, last) {
  const { layers, heads, positions, base, tuned } = data.heads;
  const from = Math.max(first, 0);
  const to = first < 0 ? answerCount - 1 : last;
  const side = (array) => {
    const all = codes(array);
    const scale = (array.hi - array.lo) / 254 / (to - from + 1);
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
}

/** Probabilities of documents, base, neither: of one token, or the mean over several. */
export function verdictOf(first, last) {
  if (first < 0) return data.verdict.shares;
  return [0, 1, 2].map((label) =>
    reduce(
      range(first, last).map((i) => at(data.tokenVerdict, 3 * i + label)),
      "mean",
    ),
  );
}

export function sumOver(values, first, last) {
  const some = first < 0 ? values : values.slice(first, last + 1);
  return some.reduce((sum, value) => sum + (value ?? 0), 0);
}
