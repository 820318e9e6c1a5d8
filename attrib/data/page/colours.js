/* Colour scales: cividis for scores, PuOr for signed scores and differences; both start from the page's background. */

/** Verdict colours, as in the figures. */
export const VERDICT = { documents: "#0072B2", base: "#E69F00", neither: "#D3D3D3", "cannot tell": "#8C8C8C" };
/** Dash pattern of each verdict's line in drawings: verdicts are told apart without colour. */
export const DASHES = { documents: "", base: "5 3", neither: "1 4", "cannot tell": "6 2 1 2" };

const CIVIDIS = "00224e 083370 35456c 4f576c 666970 7d7c78 948e77 aea371 c8b866 e5cf52 fee838".split(" ");
const LIGHT = {
  paper: "ffffff",
  less: "fee0b6 fcb761 e08214 b25706 7f3b08",
  more: "d8daeb b1aad1 8073ac 532687 2d004b",
};
const DARK = {
  paper: "1a1d23",
  less: "7f3b08 b25706 e08214 fcb761 fee0b6",
  more: "532687 6b5aa0 8073ac b1aad1 d8daeb",
};
const STEPS = 64;
const PALE = 0.12; // up to here a scale leaves the background, so that zero is no colour

const scheme = window.matchMedia("(prefers-color-scheme: dark)");
const paper = window.matchMedia("print");
const styles = new Map();
let chosen = "";

/** Follow a theme: "light", "dark", or "" for the system's. */
export function setTheme(theme) {
  chosen = theme;
  styles.clear();
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

/** Paper is light, whatever the screen is. */
export function isDark() {
  if (paper.matches) return false;
  return chosen ? chosen === "dark" : scheme.matches;
}

export function onSchemeChange(act) {
  scheme.addEventListener("change", act);
}

/** A colour of the style sheet as drawings need it: `--name` in the theme that is on. */
export function styled(name) {
  if (!styles.has(name)) {
    const probe = document.createElement("span");
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    styles.set(name, getComputedStyle(probe).color);
    probe.remove();
  }
  return styles.get(name);
}

function rgb(hex) {
  return [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

/** A colour between stops, each [place, red, green, blue]. */
function between(stops, place) {
  let i = 1;
  while (i < stops.length - 1 && stops[i][0] < place) i += 1;
  const [a, b] = [stops[i - 1], stops[i]];
  const share = Math.min(1, Math.max(0, (place - a[0]) / (b[0] - a[0])));
  return [1, 2, 3].map((k) => Math.round(a[k] + share * (b[k] - a[k])));
}

function ramp(paper, hexes) {
  const rest = hexes.map((hex, i) => [PALE + ((1 - PALE) * i) / (hexes.length - 1), ...rgb(hex)]);
  return [[0, ...rgb(paper)], ...rest];
}

function luminance(colour) {
  const [r, g, b] = colour.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function entry(colour) {
  return { background: `rgb(${colour.join(" ")})`, text: luminance(colour) > 0.179 ? "#000" : "#fff" };
}

function table(stops) {
  return Array.from({ length: STEPS + 1 }, (_, i) => entry(between(stops, i / STEPS)));
}

const tables = new Map();

function tablesOf(dark) {
  if (!tables.has(dark)) {
    const set = dark ? DARK : LIGHT;
    tables.set(dark, {
      scores: table(ramp(set.paper, dark ? CIVIDIS : [...CIVIDIS].reverse())),
      less: table(ramp(set.paper, set.less.split(" "))),
      more: table(ramp(set.paper, set.more.split(" "))),
    });
  }
  return tables.get(dark);
}

/** Background and text colour of a value: 0 … 1, or −1 … 1 where `centred`. */
export function colour(value, centred) {
  const set = tablesOf(isDark());
  const step = Math.round(Math.min(1, Math.abs(value || 0)) * STEPS);
  if (!centred) return set.scores[value > 0 ? step : 0];
  return value < 0 ? set.less[step] : set.more[step];
}

/** Colour an element by a value; one of zero keeps the page's own colours. */
export function paint(node, value, centred) {
  const found = value ? colour(value, centred) : null;
  const background = found ? found.background : "";
  if (node.paintedAs === background) return;
  node.paintedAs = background;
  node.style.backgroundColor = background;
  node.style.color = found ? found.text : "";
}

/** The scale as a CSS gradient, lowest value first. */
export function gradient(centred) {
  const stops = Array.from({ length: 17 }, (_, i) => colour(centred ? i / 8 - 1 : i / 16, centred).background);
  return `linear-gradient(to right, ${stops.join(", ")})`;
}
