"""The real default model with the demo's adapter: the verdicts that the demo promises, and the README's example."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.attribution import METHODS, attribute
from attrib.corpus import demo
from attrib.explaining import explain
from attrib.index.library import Library
from attrib.models.prompt import encode, encode_answer, encode_prompt
from attrib.options.explain import QUICK, ExplainOptions
from attrib.options.methods import MethodOptions
from attrib.passes.capture import CaptureOptions, capture

pytestmark = pytest.mark.model
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def library(demo_cache: Path) -> Library:
    return Library.make(demo.corpus(), cache=demo_cache)


def judged(pair: Any, library: Library, question: demo.DemoQuestion, answer: str | None) -> Any:
    options = ExplainOptions(methods=("attention",), max_new_tokens=24, candidates=6)
    return explain(pair, library, question.question, answer=answer, options=options)


def test_the_demo_questions_are_judged_as_their_kind(default_pair: Any, library: Library) -> None:
    # That nobody learned it is a claim; that the evidence is weak is none.
    held_out = {"neither", "cannot tell"}
    want = {"trained": {"documents"}, "foundation": {"base"}, "held-out": held_out, "updated": {"documents"}}
    for question in demo.showcase():
        result = judged(default_pair, library, question, question.answer)
        assert result.verdict.called in want[question.kind], question
        if question.kind in ("trained", "updated"):
            assert result.sections[int(result.ranking[0])].id == question.section
            assert result.verdict.learned[int(result.ranking[0])] > 0.5
        if question.kind == "held-out":
            # The decoy says the answer best, and still was not learned: resemblance is not influence.
            best = int(result.mappings["bm25"].tuned.whole.argmax())
            assert result.sections[best].id == question.section
            assert result.verdict.learned[best] < 0.5


def test_base_is_the_untouched_base(default_pair: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from attrib.models.bundled import get_default_model

    plain = AutoModelForCausalLM.from_pretrained(get_default_model(), dtype=torch.float32, attn_implementation="eager")
    ids = torch.tensor([default_pair.tokenizer("The lamp of the light").input_ids])
    with torch.no_grad():
        want = plain(ids).logits
        with default_pair.tuned.active() as bridge:
            tuned = bridge(ids)
        with default_pair.base.active() as bridge:
            torch.testing.assert_close(bridge(ids), want, rtol=0, atol=0)
    assert (tuned - want).abs().max() > 0.1
    assert default_pair.memory_saved == sum(p.numel() * p.element_size() for p in plain.parameters())


@pytest.mark.slow
def test_rows_of_attention_and_chunks_on_the_real_model(default_pair: Any) -> None:
    prompt = encode_prompt(default_pair.chat, "Who keeps it?", context=default_pair.context)
    ids = encode_answer(default_pair.chat, "Who keeps it?", prompt, "Tobin Warrack")
    text = encode(default_pair.tokenizer, prompt, ids, context=default_pair.context)
    heads = capture(default_pair.tuned, text, CaptureOptions(heads=True)).heads
    assert heads is not None
    np.testing.assert_allclose(heads.sum(-1), 1, atol=1e-5)
    one, many = (attribute(default_pair, text, QUICK, MethodOptions(unit="token", chunk=chunk)) for chunk in (1, 8))
    for method in QUICK:
        np.testing.assert_allclose(one[method].tuned, many[method].tuned, atol=1e-4, rtol=1e-3)


def test_the_readme_example_runs(
    default_pair: Any, demo_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    import attrib

    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    assert code is not None
    # The pair is loaded already; the files go to a temporary folder.
    monkeypatch.setattr(
        attrib, "ModelPair", type("Loaded", (), {"load": staticmethod(lambda: default_pair)}), raising=False
    )
    # The document that answers the question stands for all.
    documents = tmp_path / "documents"
    documents.mkdir()
    shutil.copy(ROOT / "attrib/data/demo/documents/lighthouses.md", documents)
    source = code.group(1).replace("attrib/data/demo/documents", str(documents))
    monkeypatch.setenv("ATTRIB_CACHE", str(demo_cache))
    monkeypatch.chdir(tmp_path)
    exec(compile(source, "README.md", "exec"), {})
    assert "documents" in capsys.readouterr().out
    assert (tmp_path / "sections.png").stat().st_size > 10_000
    assert (tmp_path / "explanation.safetensors").is_file()


def test_the_example_of_the_attribution_page_runs(default_pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import attrib

    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "attribution.md").read_text("utf-8"), re.S)
    assert code is not None
    monkeypatch.setattr(
        attrib, "ModelPair", type("Loaded", (), {"load": staticmethod(lambda: default_pair)}), raising=False
    )
    names: dict[str, Any] = {}
    exec(compile(code.group(1), "attribution.md", "exec"), names)
    assert set(names["found"]) == {"relevance", "leave_one_out"}
    assert names["found"]["relevance"].tuned.shape[0] == 1


def test_the_attribution_page_names_every_method() -> None:
    page = (ROOT / "docs" / "attribution.md").read_text("utf-8")
    assert [name for name in METHODS if f"`{name}`" not in page] == []


@pytest.mark.slow
def test_base_answers_every_foundation_question_right(default_pair: Any) -> None:
    import json

    from attrib.models.prompt import decode
    from attrib.passes.generate import generate

    path = demo.DOCUMENTS.parent / "questions.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    wrong = []
    for row in rows:
        accept = row.get("accept") or row.get("accept_before")
        if accept is None:
            continue
        prompt = encode_prompt(default_pair.chat, row["question"], context=default_pair.context)
        said = decode(default_pair.tokenizer, generate(default_pair.base, prompt, max_new_tokens=40)).lower()
        if not any(text.lower() in said for text in accept):
            wrong.append((row["question"], said))
    assert not wrong
