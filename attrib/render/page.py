"""Explanation → one self-contained HTML page: every model's view, linked both ways, from a file without a network.

The page's script is plain ES modules, joined here into one; a content security policy with the digests of script and
style lets nothing else run or load. All text is data. Not covered: what the page does (``data/page``), the question box
of a live page (``server``).
"""

from __future__ import annotations

import base64
import hashlib
import html as markup
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from attrib.errors import InputError
from attrib.files import write_atomically
from attrib.records import Explanation
from attrib.render import view
from attrib.render.payload import BUDGET, Json, payload, to_json

if TYPE_CHECKING:
    from jinja2 import Template

FOLDER = Path(__file__).parents[1] / "data" / "page"
MODULES: tuple[str, ...] = (
    "dom", "theme", "data", "colours", "state", "tip", "exports", "answer", "prompt", "heads", "rows", "sections",
    "minimap", "toolbar", "frame", "keys", "live", "main",
)  # fmt: skip
"""The page's script in the order in which it is joined: a module imports from those before it."""
INDEX: tuple[str, ...] = ("dom", "theme", "live", "index")
"""The same for an index of pages."""
BUNDLES = (MODULES, INDEX)
"""Every script that is made of the folder's modules."""
_IMPORT = re.compile(r"^import\s[^;]*?from\s+\"\./[a-z]+\.js\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|let|class)\b)", re.MULTILINE)


def html(
    explanation: Explanation, *, budget: int = BUDGET, live: Mapping[str, str] | None = None, home: str | None = None
) -> bytes:
    """The page as one file of UTF-8.

    ``budget``: bytes that it may take; beyond it detail is left out in the order of ``payload.ORDER``, and the
    page says what. ``live``: addresses that the page of a server asks (``ask``, ``home``); None for a file. ``home``:
    address of the index that lists it.
    """
    if budget < 1:
        raise InputError(f"budget is {budget} bytes; give a positive number")
    addresses: Json = {"live": dict(live)} if live is not None else {}
    if home is not None:
        addresses["home"] = home

    def made(content: Json) -> bytes:
        return document(
            "page.html.jinja", MODULES, ("page.css",), content | addresses, live=live is not None,
            title=view.visible(" ".join(explanation.question.split())), question=explanation.question,
            answer=explanation.answer,
        )  # fmt: skip

    return made(payload(explanation, budget, taken=len(made({}))))


def write(explanation: Explanation, path: Path, *, budget: int = BUDGET) -> Path:
    """The page as a file that appears whole or not at all."""
    write_atomically(path, html(explanation, budget=budget))
    return path


def frame(explanation: Explanation, *, height: int = 720) -> str:
    """The page inside a notebook's cell: an iframe that holds it and can reach nothing around it."""
    page = markup.escape(html(explanation).decode(), quote=True)
    return (
        f'<iframe srcdoc="{page}" sandbox="allow-scripts allow-downloads" title="attrib" width="100%" '
        f'height="{height}" style="border:0"></iframe>'
    )


def document(
    template: str, modules: Sequence[str], styles: Sequence[str], content: Json, *, live: bool = False, **texts: object
) -> bytes:
    """A template with script, style and data inside it, and the policy that allows these alone."""
    from markupsafe import Markup

    script, style = _script(tuple(modules)), _style(tuple(styles))
    # Ours, and without a mark that could end their element: the only texts that are not escaped.
    ours = {"script": Markup(script), "style": Markup(style), "data": Markup(to_json(content))}
    made = _template(template).render(csp=policy(script, style, live=live), **ours, **texts)
    return made.encode("utf-8", "replace")


@cache
def _template(name: str) -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["shown"] = _shown
    return environment.get_template(name)


def _shown(text: str) -> str:
    return view.visible(text.replace("\r\n", "\n"), keep="\n")


def policy(script: str, style: str, *, live: bool = False) -> str:
    """The content security policy: this script, this style, pictures made by the page; a live page asks its server."""
    rules = [
        "default-src 'none'",
        f"script-src '{_digest(script)}'",
        f"style-src '{_digest(style)}'",
        "img-src data: blob:",
        *(["connect-src 'self'"] if live else []),
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(rules)


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


@cache
def _script(modules: tuple[str, ...]) -> str:
    """The modules as one, in order: imports of each other go, and what they export is simply there."""
    parts = []
    for name in modules:
        text = (FOLDER / f"{name}.js").read_text("utf-8")
        parts.append(_EXPORT.sub("", _IMPORT.sub("", text)).strip("\n"))
    joined = "\n\n".join(parts) + "\n"
    if "</script" in joined.lower() or "<!--" in joined:
        raise ValueError("the page's script holds a mark that ends a script element")
    return joined


@cache
def _style(styles: tuple[str, ...]) -> str:
    joined = "\n".join((FOLDER / name).read_text("utf-8").strip("\n") for name in styles) + "\n"
    if "</style" in joined.lower():
        raise ValueError("the page's style holds a mark that ends a style element")
    return joined
