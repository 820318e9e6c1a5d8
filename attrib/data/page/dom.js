/* Making elements. Text enters the page here only: as text nodes and attributes, never as markup. */

/** An element with attributes (null and false: left out) and children (strings or nodes; null: left out). */
export function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function byId(id) {
  return document.getElementById(id);
}

/** A button that does one thing. */
export function button(label, attributes, act) {
  const node = make("button", { type: "button", ...attributes }, label);
  node.addEventListener("click", act);
  return node;
}

/** A "?" beside a label: what it means, shown on a click, and read by those who cannot see it. */
export function explained(text, about) {
  const note = make("span", { class: "explained note", hidden: true }, text);
  const mark = button("?", { class: "quiet mark", "aria-label": `What does “${about}” mean?`, "aria-expanded": "false" }, () => {
    note.hidden = !note.hidden;
    mark.setAttribute("aria-expanded", String(!note.hidden));
  });
  return [mark, note];
}

const SIGNS = new Map([
  ["\n", "↵"],
  ["\r", "␍"],
  ["\t", "⇥"],
]);
// Controls, line and paragraph separators, direction overrides and isolates, halves of characters.
const ACTING = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/gu;

/** Text with every character that would act instead of showing made visible, except those in `keep`. */
export function visible(text, keep = "") {
  return text.replace(ACTING, (char) => {
    if (keep.includes(char)) return char;
    const code = char.codePointAt(0).toString(16).toUpperCase().padStart(2, "0");
    return SIGNS.get(char) ?? `<${code}>`;
  });
}

/** Two significant digits, no exponent, a true minus sign; "–" for what is missing, "≈0" for what is nearly nothing. */
export function number(value) {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) < 0.0005) return Math.abs(value) < 1e-9 ? "0" : "≈0";
  const text = Math.abs(value) >= 99.5 ? value.toFixed(0) : value.toPrecision(2);
  return text.replace("-", "−");
}

/** A number with its sign. */
export function signed(value) {
  return Number.isFinite(value) && value >= 0.0005 ? `+${number(value)}` : number(value);
}

/** A share as whole percent; only what is nothing is 0%, and only all is 100%. */
export function percent(value) {
  return Number.isFinite(value) ? wholePercent(Math.round(100 * value), value) : "–";
}

/** A share whose whole percents were chosen, e.g. so that several sum to 100. */
export function wholePercent(percents, share) {
  if (percents <= 0 && share > 0) return "<1%";
  return percents >= 100 && share < 1 ? ">99%" : `${percents}%`;
}

/** `1 token`, `3 tokens`. */
export function count(n, word) {
  return `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
}
