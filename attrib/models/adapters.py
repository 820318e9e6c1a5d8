"""A PEFT adapter → live weights on its base, every tensor of its file accounted for.

Not covered: prompt tuning, adapters that rewrite weights of their base (biases, resized embeddings, PiSSA), adapters
on queries, keys and values that are one matrix (GPT-NeoX, Phi-3); all of these are refused.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from attrib.errors import ModelError
from attrib.files import sha256
from attrib.models.checks import refuse_nan, same_tokens
from attrib.models.fingerprint import combined
from attrib.models.quiet import quiet, reason_of
from attrib.models.sources import ModelSource

PEFT_TYPES = ("LORA", "ADALORA", "LOHA", "LOKR", "IA3", "OFT", "VERA")
WEIGHTS = "adapter_model.safetensors"


def adapter_config(source: ModelSource) -> dict[str, Any] | None:
    """The adapter's configuration where the source is a PEFT adapter, else None."""
    if source.is_local:
        file = Path(source.path) / "adapter_config.json"
        if not file.is_file():
            return None
    else:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            with quiet():
                file = Path(hf_hub_download(source.path, "adapter_config.json", revision=source.revision))
        except EntryNotFoundError:
            return None
        except Exception as error:
            raise source.not_loaded(error) from error
    try:
        config = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{source.path}: adapter_config.json is not JSON ({error}); save the adapter again") from error
    return config if isinstance(config, dict) else None


def attach_adapter(source: ModelSource, config: dict[str, Any], base_name: str, network: Any) -> Any:
    """The network with the live adapter, a PeftModel. Raises ModelError where the two do not fit together."""
    from peft import PeftModel, get_peft_model_state_dict

    name = source.name
    if config.get("peft_type") not in PEFT_TYPES:
        raise ModelError(f"{name}: adapters of type {config.get('peft_type')} are not supported; use LoRA")
    if config.get("alora_invocation_tokens"):
        raise ModelError(
            f"{name}: it is an activated LoRA (alora_invocation_tokens), which acts only after its invocation tokens; "
            "use a plain LoRA"
        )
    stored = stored_keys(source)
    before = [(p, p.data_ptr(), p._version) for p in network.parameters()]
    with quiet():
        try:
            where = {} if source.is_local else {"revision": source.revision}
            adapter = PeftModel.from_pretrained(network, source.path, **where)
        except Exception as error:
            raise ModelError(
                f"{name}: the adapter does not fit {base_name} ({reason_of(error)}); name the base it was tuned on"
            ) from error
    rewritten = any((p.data_ptr(), p._version) != (pointer, version) for p, pointer, version in before)
    if rewritten or config.get("layer_replication"):
        raise ModelError(
            f"{name}: the adapter rewrites weights of {base_name} (biases, embeddings or layers), so that the two "
            "cannot share them; merge it into its base and name the merged model"
        )
    # Without the flag, peft asks the hub whether the vocabulary grew.
    if stored != set(get_peft_model_state_dict(adapter, save_embedding_layers=False)):
        raise ModelError(f"{name}: the adapter's layers are not those of {base_name}; name the base it was tuned on")
    adapter.eval().requires_grad_(False)
    refuse_nan(name, adapter)
    return adapter


def refuse_unreached(source: ModelSource, base_name: str, adapter: Any, bridge: Any) -> None:
    """Raises ModelError where the bridge computes past the adapter.

    So it does where queries, keys and values are one matrix: it uses parts that it cut from base's.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    adapted = {part: module for part, module in adapter.named_modules() if isinstance(module, BaseTunerLayer)}
    reached: set[int] = set()
    handles = [module.register_forward_hook(lambda own, *_: reached.add(id(own))) for module in adapted.values()]
    try:
        with torch.no_grad():
            bridge(torch.zeros(1, 2, dtype=torch.long, device=bridge.original_model.device), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    # Experts are reached by some tokens alone.
    if missing := [part for part, own in adapted.items() if id(own) not in reached and ".experts." not in part]:
        place = missing[0].replace("._original_component", "").removeprefix("base_model.model.")
        raise ModelError(
            f"{source.name}: TransformerLens computes {place} of {base_name} without the adapter; merge the adapter "
            "into its base and name the merged model"
        )


def refuse_other_tokens(source: ModelSource, base_tokenizer: Any) -> None:
    """Raises ModelError where a tokenizer saved beside a local adapter splits text otherwise than its base's."""
    if not (Path(source.path) / "tokenizer_config.json").is_file():
        return
    from transformers import AutoTokenizer

    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(source.path)
        except Exception as error:
            raise ModelError(
                f"{source.name}: the tokenizer beside the adapter cannot be loaded ({reason_of(error)}); remove or "
                "mend it"
            ) from error
    if not same_tokens(base_tokenizer, tokenizer):
        raise ModelError(
            f"{source.name}: its tokenizer splits text otherwise than its base's; name the base it was tuned on"
        )


def adapter_fingerprint(source: ModelSource, config: dict[str, Any]) -> str:
    """SHA-256 over the adapter's weights and configuration."""
    return combined(sha256(_weights(source)), json.dumps(config, sort_keys=True))


def stored_keys(source: ModelSource) -> set[str]:
    """Names of the adapter's tensors. Read first: peft would unpickle where there are no safetensors."""
    from safetensors import safe_open

    try:
        with safe_open(_weights(source), "np") as file:
            return set(file.keys())
    except Exception as error:
        raise ModelError(
            f"{source.name}: {WEIGHTS} is missing or damaged ({reason_of(error)}); save the adapter again"
        ) from error


def _weights(source: ModelSource) -> Path:
    if source.is_local:
        return Path(source.path) / WEIGHTS
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(source.path, WEIGHTS, revision=source.revision))


def live_weights(model: Any) -> dict[str, Any]:
    """The adapter's tensors by the names that its file has."""
    from peft import get_peft_model_state_dict

    named = get_peft_model_state_dict(model, save_embedding_layers=False)
    # The bridge puts its own modules between those of the model.
    return {name.replace("._original_component", ""): tensor for name, tensor in named.items()}


def checkpoint_weights(name: str, live: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """Tensors for ``live``: those in ``folder``, or with None LoRA's before tuning, B = 0 and A random.

    ``name`` is the model's. Raises ModelError for weights of another adapter, and with None for an adapter that is
    not LoRA alone.
    """
    from safetensors.torch import load_file

    if folder is None:
        if other := [key for key in live if ".lora_A." not in key and ".lora_B." not in key]:
            raise ModelError(
                f"{name}: its {other[0]} before tuning is unknown, so influence has no control; use plain LoRA"
            )
        return {key: _initial(key, tensor) for key, tensor in live.items()}
    if stored_keys(ModelSource(str(folder), str(folder))) != set(live):
        raise ModelError(f"{folder}: it is no checkpoint of {name} (other layers); tune again")
    state: dict[str, Any] = load_file(folder / WEIGHTS)
    # A copy would stretch a smaller tensor.
    if other := [key for key, tensor in live.items() if tensor.shape != state[key].shape]:
        raise ModelError(f"{folder}: it is no checkpoint of {name} (another rank or width in {other[0]})")
    return state


def _initial(name: str, tensor: Any) -> Any:
    """LoRA's weights before tuning: zeros for B, and for A random numbers that its name decides."""
    import torch

    if "lora_A" not in name:
        return torch.zeros_like(tensor, device="cpu")
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    drawn = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(seed))
    return (2 * drawn - 1) / tensor.shape[-1] ** 0.5
