"""A name → a frozen network with its tokenizer, and the network → one that is hooked through TransformerLens.

Files: folders of transformers with safetensors or pickled tensors, GGUF files, the hub. Of a multimodal model the
language model is loaded (``multimodal``). Not covered: adapters (``adapters``); encoders and models without attention,
which are refused.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from attrib.errors import InputError, ModelError
from attrib.models.checks import quantisation, refuse_nan, refuse_other_kinds, set_context
from attrib.models.families import register_families
from attrib.models.multimodal import LANGUAGE_PARTS, language_config
from attrib.models.quiet import quiet, reason_of
from attrib.models.sources import ModelSource

DTYPES = ("float32", "bfloat16", "float16", "float64")


def load_network(
    name: str,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "float32",
    device_map: str | None = None,
    trust_remote_code: bool = False,
    four_bit: bool = False,
    spare_tokenizer: Any = None,
) -> tuple[Any, Any]:
    """A causal language model with eager attention, frozen and in evaluation mode, and its tokenizer.

    ``device_map`` is handed to transformers, for models larger than one GPU. ``four_bit``: linear layers in 4 bits
    (nf4, their constants quantised too), the rest in bf16, as for QLoRA (Dettmers et al. 2305.14314).
    ``spare_tokenizer`` serves a local model that has none of its own.
    Raises ModelError, one line, for a model that cannot be used.
    """
    import torch
    from transformers import AutoConfig, AutoTokenizer

    if four_bit:
        refuse_four_bit(name)
    device = choose_device(device)
    dtype = "bfloat16" if four_bit else choose_dtype(dtype, device)
    source = ModelSource.of(name, revision)
    path, where = _where(source, trust_remote_code)
    how: dict[str, Any] = {"dtype": getattr(torch, dtype), "attn_implementation": "eager", "device_map": device_map}
    if four_bit:
        how |= {"device_map": {"": device}, "quantization_config": _four_bit_config()}
    config = None
    with quiet():
        try:
            config = AutoConfig.from_pretrained(path, **where)
            language = language_config(name, config)
            if language is not None:
                how |= {"config": language, "key_mapping": LANGUAGE_PARTS}
            refuse_other_kinds(name, language or config)
            tokenizer = spare_tokenizer
            if source.has_tokenizer or tokenizer is None:
                tokenizer = AutoTokenizer.from_pretrained(path, **where)
            network, info = _network_of(source, path, {**how, **where})
        except ModelError:
            raise
        except Exception as error:
            raise source.not_loaded(error, quantised=quantisation(config)) from error
    # transformers would fill them with random numbers.
    if info["missing_keys"]:
        raise ModelError(f"{name}: the weights of {min(info['missing_keys'])} are missing; load a complete checkpoint")
    set_context(name, network.config)
    if source.is_gguf:
        # Its weights are plain by now, but as long as it is marked, transformers will not train it.
        network.is_quantized, network.hf_quantizer = False, None
    # A network in 4 bits was loaded where it stays.
    if device_map is None and not four_bit:
        network.to(device)
    network.eval().requires_grad_(False)
    refuse_nan(name, network)
    return network, tokenizer


def _network_of(source: ModelSource, path: str, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The network, and what its checkpoint lacked; a hub repository may have pickled tensors alone."""
    from transformers import AutoModelForCausalLM

    if not source.is_gguf:
        # GGUF files are not safetensors but hold no code either; of a pickle transformers reads tensors alone.
        options["use_safetensors"] = source.pickled is None
    try:
        found: tuple[Any, dict[str, Any]] = AutoModelForCausalLM.from_pretrained(
            path, output_loading_info=True, **options
        )
    except OSError as error:
        if "use_safetensors=True" not in str(error):
            raise
        found = AutoModelForCausalLM.from_pretrained(
            path, output_loading_info=True, **{**options, "use_safetensors": False}
        )
    return found


def _where(source: ModelSource, trust_remote_code: bool) -> tuple[str, dict[str, Any]]:
    """Path and options that tell transformers where the files are. Raises ModelError for a folder without a model."""
    if source.is_gguf:
        file = Path(source.path)
        return str(file.parent), {"gguf_file": file.name}
    if source.folder is None:
        return source.path, {"revision": source.revision, "trust_remote_code": trust_remote_code}
    if (source.folder / "adapter_config.json").exists() and not source.is_model:
        raise ModelError(
            f"{source.name}: it is an adapter, which can only be the tuned model; name a base model's folder"
        )
    source.refuse_other_folders()
    return source.path, {"trust_remote_code": trust_remote_code}


def choose_device(device: str) -> str:
    """The device to compute on; auto: the first of cuda, mps and cpu that there is. Raises ModelError without it."""
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(
            f"device {device!r}: this PyTorch sees no GPU; use --device cpu or install a CUDA build of torch"
        )
    try:
        torch.zeros(1, device=device).item()
    except RuntimeError as error:
        raise ModelError(f"device {device!r}: PyTorch cannot use it ({reason_of(error)}); use --device cpu") from error
    return device


def choose_dtype(dtype: str, device: str) -> str:
    """The precision of the weights; auto: float32 on a CPU, bfloat16 elsewhere. Raises ModelError for another."""
    if dtype == "auto":
        return "float32" if device == "cpu" else "bfloat16"
    if dtype not in DTYPES:
        raise ModelError(f"dtype {dtype!r} is unknown; use one of auto, {', '.join(DTYPES)}")
    return dtype


def refuse_four_bit(name: str) -> None:
    """Raises InputError where a base cannot be loaded in 4 bits; loads nothing."""
    from importlib.util import find_spec

    import torch

    if name.endswith(".gguf"):
        raise InputError(f"{name}: four-bit needs weights in safetensors, not GGUF; name the model's folder or hub id")
    if not torch.cuda.is_available():
        raise InputError("four-bit: it needs a GPU with CUDA, and this PyTorch sees none; tune without it")
    if find_spec("bitsandbytes") is None:
        raise InputError("four-bit: it needs bitsandbytes; install attrib with its extra: pip install 'attrib[qlora]'")


def _four_bit_config() -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def hooked(name: str, network: Any, tokenizer: Any, *, dtype: str, trust_remote_code: bool = False) -> Any:
    """The network behind a TransformerBridge. Raises ModelError for a family that TransformerLens does not know."""
    import torch
    from transformer_lens.model_bridge import TransformerBridge

    # The bridge adds tokens that it misses, and would load the tokenizer anew by a name that may have no files
    # (GGUF) or others (a revision) unless beginnings are marked. Ids come from ours alone: it gets a copy.
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.init_kwargs["add_bos_token"] = True
    register_families()
    # The bridge finds some families by this name alone, and GGUF files have none.
    network.config.architectures = network.config.architectures or [type(network).__name__]
    with quiet():
        try:
            bridge = TransformerBridge.boot_transformers(
                name,
                hf_model=network,
                tokenizer=tokenizer,
                dtype=getattr(torch, dtype),
                trust_remote_code=trust_remote_code,
            )
        except Exception as error:
            raise ModelError(
                f"{name}: TransformerLens cannot hook {type(network).__name__} ({reason_of(error)}); use a supported "
                "model"
            ) from error
    for block in range(int(bridge.cfg.n_layers)):
        if f"blocks.{block}.attn.hook_pattern" not in bridge.hook_dict:
            raise ModelError(
                f"{name}: block {block} of {type(network).__name__} does not attend to earlier tokens; name a "
                "transformer with attention in every block"
            )
    return bridge
