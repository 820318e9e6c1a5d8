"""HTML: a span for the text below each heading (h1 to h6), with the lines of the source where its words stand.

Paragraphs, items of lists and rows of tables become lines of their own. The page's title is the outermost heading where
the page has no h1. Left out: scripts, styles, templates, drawings (svg), navigation (nav), comments, attributes other
than an image's alt. Not covered: text that a script writes; layout by styles.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

from attrib.corpus.faults import fault
from attrib.corpus.formats.outline import HeadedPart, outline
from attrib.corpus.spans import Found, ReadOptions, Span, decode, unix
from attrib.errors import InputError

_NO_WORDS = frozenset({"script", "style"})
LEFT_OUT = _NO_WORDS | {"template", "svg", "nav"}
_CHARSET = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?([\w.:-]+)|<\?xml[^>]+encoding\s*=\s*["']([\w.:-]+)""", re.I)
_HEADING = re.compile("h[1-6]")
# A tag that ends the line before it and after it; of these, what is set apart by a blank line too.
_APART = re.compile(
    "address|article|aside|blockquote|body|details|dialog|div|dl|fieldset|figure|footer|form|header|hr|main|menu|ol|p|"
    "pre|section|table|ul"
)
_LINE = re.compile(f"{_APART.pattern}|br|caption|dd|dt|figcaption|legend|li|option|summary|tbody|tfoot|thead|tr")


def read_html(data: bytes, options: ReadOptions) -> Found:
    """One span for the text below each heading, one for the text before the first, and one for a heading with nothing
    below it. Raises InputError for an element that is left out and never ends: what follows would be lost."""
    return read_page(_text(data))


def read_page(text: str) -> Found:
    """The spans of a page, given as text with ``\\n`` as its only line end."""
    page = _HtmlPage()
    page.feed(text)
    page.close()
    page.end_part()
    if page.passed_over:
        tag, line = page.passed_over[0]
        raise InputError(f"<{tag}> at line {line} never ends, and all that follows would be left out; close it")
    left_out = {f"<{tag}> with words": n for tag, n in sorted(page.left_out.items())}
    parts = page.parts
    if page.title is not None:
        title, first, last = page.title
        if not any(part.level == 1 and part.title for part in parts):
            parts = [HeadedPart(-1, title, first, last, None), *parts]
        elif title not in {part.title for part in parts}:
            left_out["<title> of a page with an h1"] = 1
    return Found(outline(parts), left_out=left_out)


def _text(data: bytes) -> str:
    """As the page itself says it is encoded, else UTF-8."""
    named = _CHARSET.search(data[:4096])
    charset = (named[1] or named[2]).decode() if named else "utf-8"
    if charset.lower() in ("utf-8", "utf8") or data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return decode(data)
    try:
        text = unix(data.decode(charset))
    except (LookupError, UnicodeDecodeError):
        raise InputError(f"not {charset}, which it says it is; save it again as UTF-8") from None
    if problem := fault(text, "the page"):
        raise InputError(f"{problem}; save it again as UTF-8")
    return text


@dataclass
class _SourceLine:
    """A line of text in the making: its pieces with the line of the source where each stands."""

    pieces: list[tuple[str, int]] = field(default_factory=list)

    def take(self, keep_blanks: bool) -> tuple[str, int, int] | None:
        """Text, first and last line of the source; None for a blank line. Starts anew."""
        filled = [line for piece, line in self.pieces if piece.strip()]
        text = "".join(piece for piece, _ in self.pieces)
        self.pieces.clear()
        if not filled:
            return None
        return (text.rstrip() if keep_blanks else " ".join(text.split())), filled[0], filled[-1]


class _HtmlPage(HTMLParser):
    """Headings and lines of text, in the order of the source."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[HeadedPart] = []
        self.title: tuple[str, int, int] | None = None
        """Words, first and last line of the page's title."""
        self.passed_over: list[tuple[str, int]] = []
        """The element that is left out here with its line, and those of its kind inside it."""
        self.left_out: Counter[str] = Counter()
        """Elements that are left out although they have words, by tag."""
        self._has_words = False
        """Whether the one that is left out here has words."""
        self._heading = (0, 1, 1)
        """Level, first and last line of the last heading."""
        self._words = ""
        """Its words."""
        self._lines: list[tuple[str, int, int]] = []
        """What was read below it: text, first and last line of the source."""
        self._line = _SourceLine()
        self._inside = ""
        """The heading or title that is open."""
        self._pre = 0
        self._wants_gap = False
        """Whether a blank line goes before the next line."""
        self._wants_bullet = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.passed_over or tag in LEFT_OUT:
            if not self.passed_over or tag == self.passed_over[0][0]:
                self.passed_over.append((tag, self.getpos()[0]))
        elif tag == "title" or _HEADING.fullmatch(tag):
            self._open(tag)
        elif _LINE.fullmatch(tag):
            self._break(tag)
            self._pre += tag == "pre"
            self._wants_bullet |= tag == "li"
        elif tag in ("td", "th") and any(piece.strip() for piece, _ in self._line.pieces):
            self._add(" | ")
        elif tag == "img":
            self._add(f" {dict(attrs).get('alt') or ''} ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # A slash ends no element of HTML but those of drawings, which are left out whole.
        if tag != "svg":
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self.passed_over:
            if tag == self.passed_over[0][0]:
                self.passed_over.pop()
            if not self.passed_over and self._has_words and tag not in _NO_WORDS:
                self.left_out[tag] += 1
            self._has_words = bool(self.passed_over) and self._has_words
        elif tag == self._inside:
            self._close()
        elif _LINE.fullmatch(tag):
            self._break(tag)
            self._pre -= tag == "pre" and self._pre > 0

    def handle_data(self, data: str) -> None:
        if self.passed_over:
            self._has_words |= not data.isspace()
            return
        line = self.getpos()[0]
        for k, piece in enumerate(data.split("\n")):
            if k and self._pre and not self._inside:
                self._end_line()
            elif k:
                self._line.pieces.append((" ", line + k))
            self._line.pieces.append((piece, line + k))

    def unknown_decl(self, data: str) -> None:
        # <![CDATA[words]]> of XHTML.
        self.handle_data(data.removeprefix("CDATA["))

    def _add(self, text: str) -> None:
        self._line.pieces.append((text, self.getpos()[0]))

    def _break(self, tag: str) -> None:
        if self._inside:
            self._add(" ")
            return
        self._end_line()
        self._wants_gap |= _APART.fullmatch(tag) is not None and not self._wants_bullet

    def _end_line(self) -> None:
        made = self._line.take(bool(self._pre))
        if made is None:
            return
        if self._wants_gap and self._lines:
            self._lines.append(("", made[1], made[1]))
        text, first, last = made
        self._lines.append((f"- {text}" if self._wants_bullet else text, first, last))
        self._wants_gap = self._wants_bullet = False

    def _open(self, tag: str) -> None:
        if self._inside:
            self._close()
        self._end_line()
        if tag != "title":
            self.end_part()
            line = self.getpos()[0]
            self._heading = (int(tag[1]), line, line)
        self._inside = tag

    def _close(self) -> None:
        made = self._line.take(False)
        if self._inside == "title" and self.title is None:
            self.title = made
        elif self._inside == "title" and made is not None:
            self._lines.append(made)
        elif made is not None:
            self._words, self._heading = made[0], (self._heading[0], *made[1:])
        self._inside = ""

    def end_part(self) -> None:
        """Put what was read since the last heading with it."""
        if self._inside:
            self._close()
        self._end_line()
        body = None
        if self._lines:
            places = tuple((first, last) for _, first, last in self._lines)
            text = "\n".join(line for line, _, _ in self._lines)
            body = Span("", (), text, places[0][0], places[-1][1], places=places)
        self.parts.append(HeadedPart(self._heading[0], self._words, *self._heading[1:], body))
        self._words, self._lines, self._wants_gap, self._wants_bullet = "", [], False, False
