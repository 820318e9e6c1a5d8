"""Tiny random models made from a configuration, in seconds; the real default model only where it is in the cache."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.shapes import check_shapes

check_shapes()
# A busy machine is no fault of what a property is tested with.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
SHARED = Path(os.environ.get("ATTRIB_SHARED", "../shared"))
TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
TEXT = (
    "The warranty on the pump is thirty-six months from first use. The keeper of the light is Wilmet Dallin. "
    "How long is the warranty on the pump? Who keeps the light? In the year 1712 it was 38 metres tall. "
) * 8


SLOWEST = (
    "test_default_model", "attribution/test_integrated", "training/test_tune", "render/test_figures",
    "render/test_figure_files", "cli/test_cli_assess", "passes/test_backward", "index/test_index",
    "cli/test_cli", "cli/test_cli_serve", "render/test_terminal", "attribution/test_relevance", "passes/test_variants",
    "passes/test_generate", "server/test_serve_demo",
)  # fmt: skip
"""Files that start first, so that no process is left alone with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {Path(__file__).parent / f"{name}.py": number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: place.get(item.path, len(SLOWEST)))


def pytest_collection_finish() -> None:
    # Every full collection would look through all that was imported: a tenth of the time of all tests.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def tiny_tokenizer(vocabulary: int = 400, text: str = TEXT) -> Any:
    """A byte-level BPE tokenizer with a chat template, trained on a few sentences."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|start|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator([text], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<|start|>", eos_token="<|end|>", pad_token="<|end|>"
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def tiny_network(
    tokenizer: Any, seed: int, *, layers: int = 3, context: int = 256, vocabulary: int | None = None
) -> Any:
    """A Llama with random weights large enough that its predictions differ."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary or len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    network = LlamaForCausalLM(config)
    for parameter in network.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(0, 0.2)
    return network.eval()


def save_model(folder: Path, seed: int, **options: Any) -> Path:
    """A tiny model and its tokenizer as a local directory."""
    tokenizer = options.pop("tokenizer", None) or tiny_tokenizer()
    tiny_network(tokenizer, seed, **options).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_adapter(folder: Path, base: Path, seed: int = 3, scale: float = 0.3) -> Path:
    """A LoRA adapter with random weights on the model in ``base``."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    network = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(network, config)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(0, scale)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("base"), seed=1)


@pytest.fixture
def bare(base_dir: Path, tmp_path: Path) -> Path:
    """The base without a chat template."""
    folder = shutil.copytree(base_dir, tmp_path / "bare")
    (folder / "chat_template.jinja").unlink()
    return folder


@pytest.fixture(scope="session")
def tuned_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("tuned"), seed=2)


@pytest.fixture(scope="session")
def adapter_dir(tmp_path_factory: pytest.TempPathFactory, base_dir: Path) -> Path:
    return save_adapter(tmp_path_factory.mktemp("adapter"), base_dir)


@pytest.fixture(scope="session")
def tiny_pair(base_dir: Path, adapter_dir: Path) -> Any:
    from attrib.models.pair import ModelPair

    return ModelPair.load(base_dir, adapter_dir, device="cpu")


@pytest.fixture(scope="session")
def tiny_pair64(base_dir: Path, adapter_dir: Path) -> Any:
    from attrib.models.pair import ModelPair

    return ModelPair.load(base_dir, adapter_dir, device="cpu", dtype="float64")


@pytest.fixture(scope="session")
def default_pair() -> Any:
    """The real default model with the demo's adapter."""
    from attrib.errors import ModelError
    from attrib.models.bundled import get_default_model
    from attrib.models.pair import ModelPair

    try:
        get_default_model()
    except ModelError as error:
        pytest.skip(f"the default model cannot be had: {error}")
    return ModelPair.load(device="cpu")


@pytest.fixture(scope="session")
def demo_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the default models read of the demo's texts, once for every process of the tests."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "demo-cache"
