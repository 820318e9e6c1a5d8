"""The page is one file that asks for nothing, and whose policy lets only its own script and style run."""

from __future__ import annotations

import base64
import hashlib
import html as markup
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from attrib.errors import InputError
from attrib.render import page
from tests.make import make_explanation
from tests.make_heads import with_heads

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}\u202e"


class Parts(HTMLParser):
    """Elements with their attributes, and the text inside script and style."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[str, dict[str, str | None], str]] = []
        self.open = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open = tag in ("script", "style")
        if self.open:
            self.inside.append((tag, dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self.open = False

    def handle_data(self, data: str) -> None:
        if self.open:
            tag, attributes, text = self.inside[-1]
            self.inside[-1] = (tag, attributes, text + data)


def parts(**options: Any) -> Parts:
    return Parts(page.html(make_explanation(**options)).decode())


def policy(found: Parts) -> str:
    (said,) = [a["content"] for tag, a in found.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert said is not None
    return said


def test_the_policy_names_the_digests_of_the_only_script_and_style() -> None:
    found = parts()
    said = policy(found)
    assert "default-src 'none'" in said
    assert "unsafe" not in said
    assert "connect-src" not in said
    for kind, directive in (("script", "script-src"), ("style", "style-src")):
        (text,) = [t for tag, a, t in found.inside if tag == kind and a.get("type") != "application/json"]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in said


def test_nothing_is_asked_for_from_outside() -> None:
    found = parts()
    for tag, attributes in found.elements:
        assert tag not in ("img", "iframe", "object", "embed", "base", "source"), tag
        for name in ("src", "href", "srcset", "action", "style"):
            value = attributes.get(name)
            assert value is None or value.startswith("#") or value == "data:,", (tag, name, value)
        assert not any(name.startswith("on") for name in attributes)


def test_hostile_text_makes_no_element() -> None:
    plain = parts()
    hostile = parts(question=HOSTILE, answer_texts=(HOSTILE,), base_answer=HOSTILE, texts=(HOSTILE,), titles=(HOSTILE,))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    (data,) = [t for tag, a, t in hostile.inside if a.get("type") == "application/json"]
    assert json.loads(data)["answer"] == HOSTILE


def test_a_live_page_may_ask_its_server_and_says_where() -> None:
    text = page.html(make_explanation(), live={"ask": "/api/jobs", "home": "/"}).decode()
    found = Parts(text)
    assert "connect-src 'self'" in policy(found)
    (data,) = [t for tag, a, t in found.inside if a.get("type") == "application/json"]
    assert json.loads(data)["live"] == {"ask": "/api/jobs", "home": "/"}


def test_the_same_record_gives_the_same_bytes() -> None:
    assert page.html(make_explanation(2)) == page.html(make_explanation(2))


def test_the_file_is_whole_and_the_same(tmp_path: Path) -> None:
    file = page.write(make_explanation(), tmp_path / "page.html")
    assert file.read_bytes() == page.html(make_explanation())
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_the_record_makes_its_page_and_its_frame() -> None:
    explanation = make_explanation()
    assert explanation.to_html().encode() == page.html(explanation)
    frame = explanation._repr_html_()
    (element,) = Parts(frame).elements
    assert element[0] == "iframe"
    assert element[1]["srcdoc"] == explanation.to_html()
    assert element[1]["sandbox"] == "allow-scripts allow-downloads"
    assert markup.unescape(frame).count("<!doctype html>") == 1


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="budget is 0 bytes"):
        page.html(make_explanation(), budget=0)


def test_modules_import_from_those_before_them_and_none_is_forgotten() -> None:
    files = {file.stem for file in page.FOLDER.glob("*.js")}
    listed = {name for modules in page.BUNDLES for name in modules}
    assert files == listed
    for modules in page.BUNDLES:
        for at, name in enumerate(modules):
            source = (page.FOLDER / f"{name}.js").read_text("utf-8")
            wanted = re.findall(r'from\s+"\./([a-z]+)\.js"', source)
            assert set(wanted) <= set(modules[:at]), name


def test_no_two_modules_share_a_name_and_no_import_is_left() -> None:
    for modules in page.BUNDLES:
        script = page._script(modules)
        assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
        names = re.findall(r"^(?:async )?(?:function\*?|const|let|class) (\w+)", script, re.MULTILINE)
        assert len(names) == len(set(names)), sorted({n for n in names if names.count(n) > 1})


def test_a_default_page_is_small() -> None:
    """24 sections, six mappers, four methods, 64 answer tokens: what attrib explain makes at most by default."""
    explanation = make_explanation(
        answer=64, prompt=60, sections=24, mappers=("bm25", "verbatim", "embedding", "hidden", "learned", "combined"),
        methods=("attention", "saliency", "input_x_gradient", "leave_one_out"), texts=["words " * 200] * 24,
    )  # fmt: skip
    assert len(page.html(explanation)) < 1_000_000


@pytest.mark.parametrize(("layers", "heads", "answer", "said"), [(30, 9, 64, False), (32, 32, 200, True)])
def test_all_layers_and_heads_stay_under_the_budget_and_what_was_dropped_is_said(
    layers: int, heads: int, answer: int, said: bool
) -> None:
    explanation = with_heads(make_explanation(answer=answer, prompt=60, sections=24), layers, heads)
    made = page.html(explanation)
    assert len(made) <= page.BUDGET == 10_000_000
    assert (b"attention of single heads" in made) == said
