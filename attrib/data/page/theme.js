/* Light or dark: what the reader chose on one page, other pages of the same origin follow. */

/** The theme that was chosen before: "light", "dark", or "" for the system's. */
export function storedTheme() {
  try {
    const theme = localStorage.getItem("attrib-theme");
    return theme === "light" || theme === "dark" ? theme : "";
  } catch {
    return "";
  }
}

/** Remember the theme for the next page, where the browser lets us. */
export function storeTheme(theme) {
  try {
    localStorage.setItem("attrib-theme", theme);
  } catch {
    // Frames without an origin have no storage.
  }
}
