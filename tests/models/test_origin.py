"""An adapter is put on the base that it names, or the difference is said or refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from attrib.errors import ModelError
from attrib.models.pair import ModelPair
from tests.conftest import save_model


@pytest.fixture(scope="module")
def adapted(adapter_dir: Path, base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Makes the adapter and its base anew under other names: ``adapted(names=…, base=…)``."""

    def make(names: str | None, base: str = "lighthouse-7b", **config: object) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp("pair")
        own, adapter = folder / base, folder / "tuned"
        shutil.copytree(base_dir, own)
        shutil.copytree(adapter_dir, adapter)
        _edit(adapter / "adapter_config.json", base_model_name_or_path=names)
        _edit(own / "config.json", **config)
        return own, adapter

    return make


def _edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **changes}), "utf-8")


def test_another_base_of_the_same_shape_is_refused_unless_asked_for(
    base_dir: Path, tuned_dir: Path, adapter_dir: Path
) -> None:
    with pytest.raises(
        ModelError, match=r"another model than .*\(the weights of .* differ\); name its own base, or add"
    ):
        ModelPair.load(tuned_dir, adapter_dir, device="cpu")
    pair = ModelPair.load(tuned_dir, adapter_dir, device="cpu", any_base=True)
    assert pair.notes == (f"{adapter_dir.name}: tuned on another model than {tuned_dir.name}, used as --any-base asks",)
    assert pair.loading == {"any_base": True}
    # Its own base needs no word.
    assert ModelPair.load(base_dir, adapter_dir, device="cpu").notes == ()


def test_the_same_weights_in_another_folder_are_the_same_base(
    base_dir: Path, adapter_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(base_dir, tmp_path / "of-another-name")
    assert ModelPair.load(tmp_path / "of-another-name", adapter_dir, device="cpu").notes == ()


def test_a_commit_of_the_hub_is_not_compared_with_a_digest_of_files(adapted: Any) -> None:
    base, adapter = adapted("me/lighthouse-7b")
    (adapter / "attrib.json").write_text(json.dumps({"base_fingerprint": "0" * 40}))
    assert ModelPair.load(base, adapter, device="cpu").notes == ()
    (adapter / "attrib.json").write_text(json.dumps({"base_fingerprint": "0" * 64}))
    with pytest.raises(ModelError, match="weights differ"):
        ModelPair.load(base, adapter, device="cpu")
    base, adapter = adapted("me/another-7b")
    (adapter / "attrib.json").write_text(json.dumps({"base_fingerprint": "0" * 40}))
    with pytest.raises(ModelError, match="it names me/another-7b"):
        ModelPair.load(base, adapter, device="cpu")


@pytest.mark.parametrize(
    "names",
    [
        "me/lighthouse-7b",
        "/content/drive/MyDrive/lighthouse-7b/",
        "C:\\Users\\me\\Lighthouse_7B",
        "x/meta-lighthouse-7b",
    ],
)
def test_the_same_name_elsewhere_is_the_same_base(adapted: Any, names: str) -> None:
    assert ModelPair.load(*adapted(names), device="cpu").notes == ()


@pytest.mark.parametrize("names", ["me/lighthouse-7b-instruct", "/content/lighthouse-7b-it", "me/beacon-7b"])
def test_another_name_is_another_base(adapted: Any, names: str) -> None:
    base, adapter = adapted(names)
    with pytest.raises(ModelError, match=f"it names {names}.*--any-base"):
        ModelPair.load(base, adapter, device="cpu")
    assert len(ModelPair.load(base, adapter, device="cpu", any_base=True).notes) == 1


@pytest.mark.parametrize(
    ("names", "base", "said"),
    [
        ("/content/drive/MyDrive/base", "lighthouse-7b", "cannot be compared"),
        ("me/lighthouse-7b", "model", "cannot be compared"),
        ("someone/lighthouse-7b-unsloth-bnb-4bit", "lighthouse-7b", "tuned on the quantised"),
        (None, "lighthouse-7b", "does not name its base"),
    ],
)
def test_what_cannot_be_compared_is_said(adapted: Any, names: str | None, base: str, said: str) -> None:
    notes = ModelPair.load(*adapted(names, base), device="cpu").notes
    assert len(notes) == 1
    assert said in notes[0]
    assert notes[0].endswith(f"{base} is taken for it")


def test_a_base_that_says_what_it_was_saved_from_is_compared_by_that(adapted: Any) -> None:
    saved_from = {"_name_or_path": "me/lighthouse-7b"}
    assert ModelPair.load(*adapted("me/lighthouse-7b", "model", **saved_from), device="cpu").notes == ()
    with pytest.raises(ModelError, match="--any-base"):
        ModelPair.load(*adapted("me/beacon-7b", "model", **saved_from), device="cpu")


@pytest.mark.parametrize("names", ["/content/drive/MyDrive/base", "C:\\Users\\me\\base", "./gone"])
def test_an_adapters_own_base_that_is_not_here(adapted: Any, names: str) -> None:
    _, adapter = adapted(names)
    with pytest.raises(ModelError, match=r"which the adapter names as its base, is not on this machine; .* --base$"):
        ModelPair.load(tuned=adapter, device="cpu")


def test_an_activated_lora_is_refused_by_its_key(adapted: Any) -> None:
    base, adapter = adapted("me/lighthouse-7b")
    _edit(adapter / "adapter_config.json", alora_invocation_tokens=[8, 9])
    with pytest.raises(ModelError, match=r"activated LoRA \(alora_invocation_tokens\)"):
        ModelPair.load(base, adapter, device="cpu")


def test_save_model_differs_by_seed(tmp_path: Path, base_dir: Path, adapter_dir: Path) -> None:
    """Negative control of the comparison by weights: the same seed gives the same files."""
    same = save_model(tmp_path / "same", seed=1)
    assert ModelPair.load(same, adapter_dir, device="cpu").notes == ()
