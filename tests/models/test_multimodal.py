"""The language model of a multimodal checkpoint reads text as the whole does, with an adapter of the whole too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from attrib.errors import ModelError
from attrib.models.multimodal import KINDS
from attrib.models.pair import ModelPair
from tests.conftest import tiny_tokenizer

IDS = torch.arange(5, 45)[None]


def save(kind: str, folder: Path, *, tied: bool) -> Path:
    """A tiny random model of this type with its eyes."""
    import transformers
    from transformers import AutoConfig, AutoModelForImageTextToText

    tokenizer = tiny_tokenizer()
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "head_dim": 8,
        "pad_token_id": 0,
    }  # fmt: skip
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4}
    size: dict[str, Any] = {"image_size": 28, "patch_size": 14}
    if kind == "internvl":
        size = {name: [pixels, pixels] for name, pixels in size.items()}
    config = AutoConfig.for_model(kind, text_config=text | _own(kind), vision_config=vision | size)
    for name in ("image_token_index", "image_token_id"):
        if hasattr(config, name):
            setattr(config, name, len(tokenizer) - 1)
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = tied
    torch.manual_seed(2)
    network = AutoModelForImageTextToText.from_config(config)
    assert isinstance(network, transformers.PreTrainedModel)
    for parameter in network.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(0, 0.2)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _own(kind: str) -> dict[str, Any]:
    types = {"gemma3": "gemma3_text", "mistral3": "mistral", "internvl": "qwen2"}
    return {"model_type": types.get(kind, "llama")}


def whole(folder: Path) -> Any:
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager").eval()


def adapt(base: Path, folder: Path, **options: Any) -> Path:
    torch.manual_seed(3)
    config = peft.LoraConfig(**{"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"], **options})
    model = peft.get_peft_model(whole(base), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


def largest_gap(pair: ModelPair, base: Path, adapter: Path) -> tuple[float, float]:
    """Of both sides from the whole model, and of tuned from base."""
    network = whole(base)
    with torch.no_grad():
        want = {"base": network(IDS).logits}
        want["tuned"] = peft.PeftModel.from_pretrained(network, adapter).eval()(IDS).logits
        found = []
        for side in ("base", "tuned", "base"):
            with getattr(pair, side).active() as bridge:
                found.append(float((bridge(IDS, use_cache=False) - want[side]).abs().max()))
            with getattr(pair, side).plain() as plain:
                found.append(float((plain(IDS, use_cache=False).logits - want[side]).abs().max()))
    return max(found), float((want["tuned"] - want["base"]).abs().max())


@pytest.mark.parametrize("kind", KINDS)
def test_the_language_model_reads_as_the_whole(kind: str, tmp_path: Path) -> None:
    """Adapters on queries and values of all parts, or by a pattern that names the language model's."""
    base = save(kind, tmp_path / "base", tied=kind in ("gemma3", "smolvlm"))
    for number, targets in enumerate((["q_proj", "v_proj"], r".*(language_model|text_model).*\.(q_proj|down_proj)")):
        adapter = adapt(base, tmp_path / f"tuned{number}", target_modules=targets)
        pair = ModelPair.load(base, adapter, device="cpu")
        gap, change = largest_gap(pair, base, adapter)
        assert gap <= 1e-5
        assert change > 0.01
        with pair.tuned.at_checkpoint(adapter):
            pass


def test_what_cannot_be_told_by_tensors_is_refused(tmp_path: Path) -> None:
    base = save("llava", tmp_path / "base", tied=False)
    adapter = adapt(base, tmp_path / "tuned", alpha_pattern={"language_model.layers.0.self_attn.q_proj": 1})
    with pytest.raises(ModelError, match="only LoRA of one rank and alpha"):
        ModelPair.load(base, adapter, device="cpu")


def test_other_multimodal_models_are_refused(tmp_path: Path) -> None:
    from transformers import AutoConfig

    AutoConfig.for_model("qwen2_vl").save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"it is multimodal \(qwen2_vl\).*; name a text model"):
        ModelPair.load(tmp_path, tmp_path, device="cpu")
