"""Tokens that tuning added: base's numbers are its own, tuned's are all there, and nothing infinite is recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch

from attrib.errors import InputError, ModelError
from attrib.models.pair import ModelPair
from attrib.models.prompt import encode_given
from attrib.models.vocabulary import added_tokens
from attrib.passes.capture import capture, capture_items
from attrib.passes.forward import Inputs, evaluate
from attrib.passes.generate import generate
from attrib.passes.likelihood import kl_given, score_given
from attrib.passes.targets import TARGETS, divergence, make_target
from attrib.records import Item
from tests.conftest import save_model, tiny_tokenizer
from tests.oracles import bare, encoded, gaps

NEW = ["<|im_start|>", "<|im_end|>", "<tool_call>"]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def grown_tokenizer() -> Any:
    """The tiny tokenizer with ChatML markers, and a token that is no marker."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": NEW[:2]})
    tokenizer.add_tokens(NEW[2:])
    tokenizer.chat_template = CHATML
    return tokenizer


def grown_network(base: Path, seed: int = 4) -> Any:
    torch.manual_seed(seed)
    network = bare(base, dtype=torch.float32)
    network.resize_token_embeddings(len(grown_tokenizer()))
    for parameter in (network.get_input_embeddings().weight, network.get_output_embeddings().weight):
        parameter.data[-len(NEW) :].normal_(0, 0.3)
    return network


def _full(base: Path, folder: Path) -> None:
    network = grown_network(base)
    for parameter in network.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter))
    network.save_pretrained(folder)


def _adapter(**options: Any) -> Callable[[Path, Path], None]:
    def make(base: Path, folder: Path) -> None:
        config = peft.LoraConfig(r=2, **{"target_modules": ["q_proj", "v_proj"], **options})
        model = peft.get_peft_model(grown_network(base), config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.2 * torch.randn_like(parameter))
        model.save_pretrained(folder)

    return make


KINDS: dict[str, Callable[[Path, Path], None]] = {
    "full": _full,
    "saved along": _adapter(),
    "modules to save": _adapter(modules_to_save=["embed_tokens", "lm_head"]),
    "lora on embeddings": _adapter(target_modules=["embed_tokens", "lm_head", "q_proj"]),
}


@pytest.fixture(scope="module", params=KINDS)
def grown(
    request: pytest.FixtureRequest, base_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ModelPair, Path]:
    folder = tmp_path_factory.mktemp("grown")
    KINDS[request.param](base_dir, folder)
    grown_tokenizer().save_pretrained(folder)
    return ModelPair.load(base_dir, folder, device="cpu"), folder


def test_both_sides_have_the_logits_of_transformers(grown: tuple[ModelPair, Path], base_dir: Path) -> None:
    pair, folder = grown
    found = gaps(pair, base_dir, folder)
    assert found.pop("change") > 0.01
    assert max(found.values()) <= 1e-5, found


def test_what_base_lacks_is_said(grown: tuple[ModelPair, Path], base_dir: Path) -> None:
    pair, _ = grown
    assert pair.notes == (
        f"tuning added 3 tokens ('<|im_start|>', '<|im_end|>', '<tool_call>'): {base_dir.name} reads them by tuning's "
        "embedding and cannot write them, so its log-probs leave them out",
    )
    assert pair.tokenizer.convert_tokens_to_ids(NEW[2]) == pair.base.common_rows + 2


def test_base_reads_new_tokens_by_tunings_rows(grown: tuple[ModelPair, Path], base_dir: Path) -> None:
    pair, folder = grown
    with pair.tuned.plain() as network:
        rows = network.get_input_embeddings()(torch.arange(pair.base.common_rows, pair.base.common_rows + 3))
    with pair.base.plain() as network:
        own = network.get_input_embeddings()(torch.arange(pair.base.common_rows, pair.base.common_rows + 3))
    assert torch.isfinite(own).all()
    stored = (folder / "adapter_config.json").is_file()
    if not stored or "embed_tokens" not in (folder / "adapter_config.json").read_text("utf-8"):
        torch.testing.assert_close(own, rows)


def test_numbers_of_an_answer_are_finite(grown: tuple[ModelPair, Path]) -> None:
    pair, _ = grown
    text = encoded(pair)
    # The template's markers are among the new tokens.
    assert max(text.prompt_ids) >= pair.base.common_rows
    for model in (pair.base, pair.tuned):
        captured = capture(model, text)
        assert np.isfinite(captured.logprob).all()
        assert np.isfinite(captured.entropy).all()
        (scores,) = score_given(model, [text])
        np.testing.assert_allclose(scores.logprob, captured.logprob, rtol=1e-4)
        np.testing.assert_allclose(-scores.mean, captured.entropy, rtol=1e-4)
        assert np.isfinite(scores.std).all()
        other = pair.tuned if model is pair.base else pair.base
        for name in ("logprob", "logodds", "probability", "entropy", "kl"):
            target = make_target(name, tuned=model is pair.tuned, contrast=None, answer=len(text.answer_ids))
            assert torch.isfinite(evaluate(Inputs(model, text, target, other=other))).all(), name
    assert np.isfinite(kl_given(pair, [text])[0]).all()


def test_base_answers_without_new_tokens(grown: tuple[ModelPair, Path]) -> None:
    pair, _ = grown
    prompt = encoded(pair).prompt_ids
    assert all(token < pair.base.common_rows for token in generate(pair.base, prompt, max_new_tokens=12))


def test_an_answer_that_base_cannot_write_is_refused(grown: tuple[ModelPair, Path]) -> None:
    pair, _ = grown
    text = encode_given(pair.chat, "Who?", "Call <tool_call> now", context=pair.context)
    for model in (pair.base, pair.tuned):
        with pytest.raises(InputError, match=r"tuning added its token '<tool_call>', which base cannot write"):
            capture(model, text)
        with pytest.raises(InputError, match="cannot write"):
            score_given(model, [text])


def test_in_texts_new_tokens_count_on_neither_side(grown: tuple[ModelPair, Path]) -> None:
    pair, _ = grown
    text = "The keeper called <tool_call> for the light."
    ids = pair.tokenizer(text).input_ids
    assert sum(token >= pair.base.common_rows for token in ids) == 1
    base, tuned = (capture_items(model, [Item.plain("a", text)], 1)[0] for model in (pair.base, pair.tuned))
    assert base.tokens == tuned.tokens
    assert np.isfinite([base.logprob, tuned.logprob]).all()
    # The new one, and the first, which nothing comes before.
    assert base.tokens == len(base.states) - 2


def test_divergence_is_over_the_tokens_that_base_has() -> None:
    """Against the sum by hand; where base has all tokens, it is KL."""
    torch.manual_seed(0)
    tuned, base = torch.randn(3, 7).log_softmax(-1), torch.randn(3, 7).log_softmax(-1)
    torch.testing.assert_close(divergence(tuned, base), (tuned.exp() * (tuned - base)).sum(-1))
    short = torch.cat([base[:, :5].log_softmax(-1), torch.full((3, 2), float("-inf"))], -1)
    want = torch.nn.functional.kl_div(
        base[:, :5].log_softmax(-1), tuned[:, :5].log_softmax(-1), log_target=True, reduction="none"
    ).sum(-1)
    torch.testing.assert_close(divergence(tuned, short), want)


def test_gradients_of_divergence_and_entropy_are_finite_where_tokens_are_missing() -> None:
    from attrib.passes.targets import Goal

    hidden = torch.tensor([False] * 5 + [True] * 2)
    for name in ("kl", "entropy"):
        for tuned in (False, True):
            logits = torch.randn(1, 3, 7, requires_grad=True)
            other = torch.randn(1, 3, 7)
            one, two = (
                (logits, other.masked_fill(hidden, float("-inf")))
                if tuned
                else (logits.masked_fill(hidden, float("-inf")), other)
            )
            TARGETS[name][int(tuned)](
                one, Goal(torch.zeros(3, dtype=torch.long), None, two.log_softmax(-1))
            ).sum().backward()
            assert torch.isfinite(logits.grad).all(), (name, tuned)


def test_an_adapter_of_the_hub_brings_its_tokens_too(
    base_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    commit, repository = "b" * 40, tmp_path / "models--org--grown"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    folder = repository / "snapshots" / commit
    KINDS["saved along"](base_dir, folder)
    grown_tokenizer().save_pretrained(folder)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    hub, local = (ModelPair.load(base_dir, name, device="cpu") for name in ("org/grown", folder))
    assert encoded(hub).ids == encoded(local).ids
    assert max(encoded(hub).prompt_ids) >= 353 == hub.base.common_rows
    assert hub.notes == local.notes


# Tokenizers


def test_a_padding_token_in_a_padded_vocabulary_is_no_difference(tmp_path: Path) -> None:
    base = save_model(tmp_path / "base", 1, vocabulary=400)
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    bare(base, dtype=torch.float32).save_pretrained(tmp_path / "full")
    peft.get_peft_model(bare(base, dtype=torch.float32), peft.LoraConfig(target_modules=["q_proj"])).save_pretrained(
        tmp_path / "adapter"
    )
    for name in ("full", "adapter"):
        tokenizer.save_pretrained(tmp_path / name)
        pair = ModelPair.load(base, tmp_path / name, device="cpu")
        assert pair.notes == ()
        assert pair.tokenizer.pad_token == "<|pad|>"
        assert pair.base.common_rows is None


def test_a_tokenizer_with_more_tokens_than_embeddings(base_dir: Path, tmp_path: Path) -> None:
    model = peft.get_peft_model(grown_network(base_dir), peft.LoraConfig(target_modules=["q_proj"]))
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    grown_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"'<\|im_start\|>' beyond the 353 tokens that have embeddings; save"):
        ModelPair.load(base_dir, tmp_path, device="cpu")


def test_rows_of_base_that_tuning_changed_are_another_base(base_dir: Path, tmp_path: Path) -> None:
    network = grown_network(base_dir)
    network.get_input_embeddings().weight.data[5, 5] += 0.001
    peft.get_peft_model(network, peft.LoraConfig(target_modules=["q_proj"])).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"embed_tokens.weight stored with the adapter is not that of"):
        ModelPair.load(base_dir, tmp_path, device="cpu")


def test_added_tokens_are_told_from_another_way_to_split() -> None:
    base, grown = tiny_tokenizer(), grown_tokenizer()
    assert added_tokens(base, base) == ()
    assert added_tokens(base, grown) == tuple(NEW)
    assert added_tokens(grown, base) is None
    # The same vocabulary, and other rules to split by.
    from tokenizers import normalizers

    other = grown_tokenizer()
    other.backend_tokenizer.normalizer = normalizers.Lowercase()
    assert added_tokens(base, other) is None
