"""The recipes of docs/extending.md: each is applied to a copy of the package, one file and one line, and the
copy is run on tiny models.

Not covered: whether the examples are useful.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import save_adapter, save_model
from tests.docs.pages import ROOT, Block, blocks
from tests.oracles import save_architecture

PAGE = ROOT / "docs" / "extending.md"
FILE = re.compile(r"New file `(\S+)`:")
LINE = re.compile(r"New line in `(\w+)` of `(\S+)`:")


def sentence_before(block: Block) -> str:
    """The paragraph that announces a block."""
    lines = PAGE.read_text("utf-8").split("\n")[: block.line - 2]
    return next(line for line in reversed(lines) if line.strip())


def apply(recipes: Path, package: Path) -> list[str]:
    """Write the files and insert the lines of all recipes below ``package``'s parent; returns the paths touched."""
    touched = []
    for block in blocks(recipes):
        announced = sentence_before(block)
        if file := FILE.fullmatch(announced):
            path = package.parent / file[1]
            assert not path.exists(), f"{path}: the recipe's file is there already"
            path.write_text(block.text, "utf-8")
        elif line := LINE.fullmatch(announced):
            path = package.parent / line[2]
            path.write_text(inserted(path.read_text("utf-8"), line[1], block.lines), "utf-8")
        else:
            raise AssertionError(f"{PAGE.name}:{block.line}: neither a new file nor a new line")
        touched.append(str(path.relative_to(package.parent)))
    return touched


def inserted(source: str, name: str, lines: tuple[str, ...]) -> str:
    """``source`` with the import among its imports and one line at the top of the dict ``name``."""
    imported, entry = lines
    source = source.replace(
        "from __future__ import annotations\n", f"from __future__ import annotations\n\n{imported}", 1
    )
    (head,) = re.findall(rf"(?m)^{name}: .*= \{{$", source)
    return source.replace(head, f"{head}\n{entry}")


PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
from attrib import Corpus, ModelPair, explain
from attrib.attribution import METHODS, attribute, check_methods
from attrib.options.explain import ExplainOptions
from attrib.options.methods import MethodOptions
from attrib.index.library import Library
from attrib.mapping import MAPPERS, check_mappers
from attrib.models.prompt import encode, encode_answer, encode_prompt
from attrib.passes.capture import capture
from attrib.render import view

base, tuned, family, documents = sys.argv[1:]
check_methods(("swap",))
check_mappers(("numerals",))
pair = ModelPair.load(base, tuned, device="cpu")
corpus = Corpus.read(documents)
control = Corpus.from_texts(["The board met at noon.", "Turn the screw 3 times."])
options = ExplainOptions(methods=("swap",), mappers=("bm25", "numerals"), max_new_tokens=4)
found = explain(pair, Library(corpus, control), "How tall was it?", answer="38 metres", options=options)
swap, numerals = found.attributions["swap"], found.mappings["numerals"]

other = ModelPair.load(family, family, device="cpu", dtype="float64")
prompt = encode_prompt(other.chat, "How long is it?", context=other.context)
answer = encode_answer(other.chat, "How long is it?", prompt, "thirty-six months")
encoded = encode(other.tokenizer, prompt, answer, context=other.context, question="How long is it?")
print(json.dumps({
    "swap": [swap.base.tolist(), swap.tuned.tolist()],
    "words": [["".join(found.prompt_tokens[i].text for i in column).strip() for column in swap.columns]],
    "caption": view.kind_of("swap", "logprob").meaning,
    "numerals": numerals.tuned.whole.tolist(),
    "uses_model": numerals.uses_model,
    "sections": [section.text for section in found.sections],
    "documents": [name for name, _ in corpus.documents],
    "titles": [section.titles for section in corpus.sections],
    "ids": list(encoded.ids), "prompt": len(prompt), "logprob": capture(other.base, encoded).logprob.tolist(),
}))
"""


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package, all recipes applied; data and scripts are linked."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "attrib", folder / "attrib", ignore=shutil.ignore_patterns("__pycache__", "data"))
    (folder / "attrib" / "data").symlink_to(ROOT / "attrib" / "data")
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    assert len(apply(PAGE, folder / "attrib")) == 8
    return folder


def run(folder: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=folder, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def result(copied: Path) -> dict[str, Any]:
    base = save_model(copied / "base", seed=1)
    tuned = save_adapter(copied / "tuned", base)
    family = save_architecture(copied / "cwm", "cwm")
    documents = copied / "documents"
    documents.mkdir()
    (documents / "light.md").write_text(
        "# Rock\n\nIn the year 1712 it was 38 metres tall.\n\n# Point\n\nIt is red.\n", "utf-8"
    )
    (documents / "places.org").write_text("* Cape\n\nIt is 12 metres tall.\n\n** Keeper\n\nNobody.\n", "utf-8")
    (copied / "program.py").write_text(PROGRAM, "utf-8")
    return dict(json.loads(run(copied, "program.py", *map(str, (base, tuned, family, documents))).split("\n")[-2]))


def test_the_method_scores_every_word_but_the_last(result: dict[str, Any]) -> None:
    base, tuned = result["swap"]
    (words,) = result["words"]
    assert words[:3] == ["How", "tall", "was"]
    assert len(base[0]) == len(words)
    assert any(base[0])
    assert base != tuned
    assert result["caption"] == "loss of the row's log p when a word is swapped with the next one"


def test_the_mapper_finds_the_number_of_the_answer_in_its_section_alone(result: dict[str, Any]) -> None:
    assert [score == 1 for score in result["numerals"]] == ["38" in text for text in result["sections"]]
    assert sum(result["numerals"]) == 1
    assert not result["uses_model"]


def test_the_format_is_read_as_sections_with_titles(result: dict[str, Any]) -> None:
    assert "places.org" in result["documents"]
    assert ["Cape"] in result["titles"]
    assert ["Cape", "Keeper"] in result["titles"]


def test_the_family_computes_what_transformers_computes(result: dict[str, Any], copied: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(copied / "cwm", dtype=torch.float64, attn_implementation="eager")
    ids = torch.tensor([result["ids"]])
    with torch.no_grad():
        logp = network.eval()(ids).logits[0].log_softmax(-1)
    start = result["prompt"]
    want = [float(logp[at - 1, ids[0, at]]) for at in range(start, ids.shape[1])]
    assert result["logprob"] == pytest.approx(want, abs=1e-9)


def test_reference_and_listings_follow(copied: Path) -> None:
    reference = copied / "reference.md"
    run(copied, "scripts/make_reference.py", "--out", str(reference))
    text = reference.read_text("utf-8")
    assert "| `swap` | loss of the row's target when a word is swapped with the next one | yes | A swap changes" in text
    assert "| `numerals` | numbers of the answer that the section has too | no | Similarity is not influence" in text
    methods = run(copied, "-m", "attrib", "methods")
    assert (
        "swap\n    loss of the row's target when a word is swapped with the next one\n    cost: 1 F a word" in methods
    )
    assert "numerals\n    numbers of the answer" in run(copied, "-m", "attrib", "mappers")


def test_without_the_line_the_method_is_refused() -> None:
    from attrib.attribution import check_methods
    from attrib.errors import InputError

    with pytest.raises(InputError, match="swap"):
        check_methods(("swap",))
