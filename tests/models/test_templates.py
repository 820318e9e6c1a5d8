"""The chat template is found where adapters keep it: in their folder, alone beside them, in their hub repository."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from attrib.errors import InputError, ModelError
from attrib.models.pair import ModelPair
from attrib.models.sources import ModelSource
from attrib.models.templates import Templates, adapter_templates
from attrib.options.chat import ChatOptions
from tests.conftest import TEMPLATE, tiny_tokenizer

OWN = TEMPLATE.replace("<|start|>assistant", "<|start|>keeper").replace("{{ message['role'] }}", "keeper")
QUESTION = "Who keeps the light?"


@pytest.fixture
def adapter(adapter_dir: Path, tmp_path: Path) -> Path:
    return shutil.copytree(adapter_dir, tmp_path / "adapter")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the revision main of org/adapter in a cache of the hub, without network."""
    import huggingface_hub

    commit, cache = "a" * 40, tmp_path / "hub"
    repository = cache / "models--org--adapter"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots" / commit).mkdir(parents=True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    return repository / "snapshots" / commit


def save_own(folder: Path, *, jinja: bool = True) -> None:
    """A tokenizer with the template OWN, in a file of its own or in the tokenizer's configuration."""
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = OWN
    tokenizer.save_pretrained(folder, save_jinja_files=jinja)


@pytest.mark.parametrize("jinja", [True, False])
def test_a_local_adapters_template_is_used(bare: Path, adapter: Path, jinja: bool) -> None:
    save_own(adapter, jinja=jinja)
    assert (adapter / "chat_template.jinja").is_file() == jinja
    chat = ModelPair.load(bare, adapter, device="cpu").chat
    assert (chat.form.template.text, chat.source) == (OWN, "chat template in the adapter's folder")


def test_a_template_alone_beside_the_adapter_is_used(bare: Path, adapter: Path) -> None:
    assert not ModelPair.load(bare, adapter, device="cpu").chat.has_template
    (adapter / "chat_template.jinja").write_text(OWN)
    chat = ModelPair.load(bare, adapter, device="cpu").chat
    assert (chat.form.template.text, chat.source) == (OWN, "chat_template.jinja in the adapter's folder")


def test_the_template_of_a_hub_repository_is_used_as_that_of_the_same_folder(
    bare: Path, adapter: Path, hub: Path
) -> None:
    save_own(adapter)
    shutil.copytree(adapter, hub, dirs_exist_ok=True)
    pairs = [ModelPair.load(bare, name, device="cpu") for name in ("org/adapter", adapter)]
    assert len({pair.chat.prompt(QUESTION) for pair in pairs}) == 1
    assert pairs[0].chat.source == "chat template in the adapter's hub repository"
    assert [pair.notes for pair in pairs] == [(), ()]
    assert "keeper" in pairs[0].chat.prompt(QUESTION)


def test_a_hub_repository_that_was_not_asked_for_a_template_is_told(base_dir: Path, adapter: Path, hub: Path) -> None:
    shutil.copytree(adapter, hub, dirs_exist_ok=True)
    (note,) = ModelPair.load(base_dir, "org/adapter", device="cpu").notes
    assert "the hub was not reached" in note
    # Where it was asked and has none, nothing is to be said.
    absent = hub.parents[1] / ".no_exist" / hub.name / "tokenizer_config.json"
    absent.parent.mkdir(parents=True)
    absent.touch()
    assert ModelPair.load(base_dir, "org/adapter", device="cpu").notes == ()


def test_templates_of_every_layout_are_found(tmp_path: Path) -> None:
    source = ModelSource("x", str(tmp_path))
    assert adapter_templates(source) is None
    config = tmp_path / "tokenizer_config.json"
    for stored in (OWN, [{"name": "default", "template": OWN}], {"default": OWN}):
        config.write_text(json.dumps({"chat_template": stored}))
        assert dict(adapter_templates(source).by_name) == {"default": OWN}  # type: ignore[union-attr]
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "tool_use.jinja").write_text(TEMPLATE)
    found = adapter_templates(source)
    assert found is not None
    assert dict(found.by_name) == {"default": OWN, "tool_use": TEMPLATE}
    # The file of its own wins, as in transformers.
    (tmp_path / "chat_template.jinja").write_text(TEMPLATE)
    assert adapter_templates(source).by_name["default"] == TEMPLATE  # type: ignore[union-attr]
    for damaged in ("{", b"\xff\xfe"):
        config.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
        with pytest.raises(ModelError, match=r"tokenizer_config\.json"):
            adapter_templates(source)


@pytest.mark.parametrize("value", [None, "", [], {}, 3, [{"name": "default"}]])
def test_no_template_is_none(value: Any) -> None:
    assert Templates.of(value, "x") is None


def test_a_template_may_be_asked_for(base_dir: Path, bare: Path, adapter: Path) -> None:
    (adapter / "chat_template.jinja").write_text(OWN)

    def prompt(name: str | None) -> str:
        return ModelPair.load(base_dir, adapter, device="cpu", chat=ChatOptions(template=name)).chat.prompt(QUESTION)

    assert prompt(None) == prompt("tuned") != prompt("base")
    assert prompt("none") == QUESTION
    assert prompt("base") == ModelPair.load(base_dir, base_dir, device="cpu").chat.prompt(QUESTION)
    with pytest.raises(InputError, match="base model has no chat template"):
        ModelPair.load(bare, adapter, device="cpu", chat=ChatOptions(template="base"))
