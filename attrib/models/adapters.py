"""A PEFT adapter → live weights on its base, every tensor of its file accounted for.

Not covered: prompt tuning, activated LoRA, adapters that start from parts of base's weights (PiSSA); all of these are
refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrib.errors import ModelError
from attrib.files import DIGESTS, damaged_file, sha256
from attrib.models.checks import refuse_nan
from attrib.models.fingerprint import combined
from attrib.models.multimodal import LANGUAGE_PARTS
from attrib.models.quiet import quiet, reason_of
from attrib.models.sources import TOKENIZER_FILES, ModelSource
from attrib.models.stored import PREFIX, Stored, copies_of, weights_file
from attrib.models.vocabulary import add_rows, fill_rows, rows_of

PEFT_TYPES = (
    "LORA", "ADALORA", "LOHA", "LOKR", "IA3", "OFT", "VERA", "TRAINABLE_TOKENS", "HRA", "MISS", "RANDLORA", "SHIRA",
    "FOURIERFT", "VBLORA", "C3A",
)  # fmt: skip
"""Kinds that were compared with peft, logit by logit."""


def adapter_config(source: ModelSource) -> dict[str, Any] | None:
    """The adapter's configuration where the source is a PEFT adapter, else None."""
    source.refuse_other_folders()
    file = source.file("adapter_config.json")
    if file is None:
        return None
    try:
        config = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{source.path}: adapter_config.json is not JSON ({error}); save the adapter again") from error
    if not isinstance(config, dict):
        raise ModelError(f"{source.path}: adapter_config.json is no JSON object; save the adapter again")
    refuse_damaged(file.parent, file.name)
    return config


@dataclass(frozen=True, eq=False)
class Attached:
    """A network with its live adapter."""

    model: Any
    """The PeftModel."""
    own_rows: int | None = None
    """Tokens that base has embeddings for, where the adapter brought more; None where it did not."""
    swapped: tuple[tuple[Any, Any], ...] = ()
    """Parameters of base that the adapter has other values for (biases), and base's values."""


def attach_adapter(source: ModelSource, config: dict[str, Any], base_name: str, network: Any) -> Attached:
    """The network with the live adapter. Raises ModelError where the two do not fit together."""
    name = source.name
    _refuse_unsupported(name, config)
    if source.folder is not None:
        refuse_damaged(source.folder, weights_file(source).name)
    stored = Stored.of(source)
    if stored.of_whole:
        _refuse_patterns(name, config)
    saved = config.get("modules_to_save") or []
    grown = _added_rows(name, stored, network)
    weights = dict(network.named_parameters(remove_duplicate=False))
    copies = copies_of(stored.names, weights, saved)
    changed = [(one, part) for one, part in copies.items() if not _is_own(stored.tensor(one), weights[part], grown)]
    biases = config.get("bias") in ("all", "lora_only")
    if other := [part for _, part in changed if not (biases and part.endswith(".bias"))]:
        raise ModelError(
            f"{name}: the {other[0]} stored with the adapter is not that of {base_name}; name the base it was tuned "
            "on, or merge the adapter into it and name the merged model"
        )
    swapped = tuple((weights[part], weights[part].detach().clone()) for _, part in changed)
    known = {id(weights[part]) for part in copies.values()}
    before = [(p, p.data_ptr(), p._version) for p in network.parameters() if id(p) not in known]
    adapter = _loaded(source, base_name, network, stored.modules if stored.of_whole else None)
    if config.get("layer_replication") or any((p.data_ptr(), p._version) != (at, no) for p, at, no in before):
        raise ModelError(
            f"{name}: the adapter rewrites weights of {base_name} (layers, or LoRA that starts from parts of them), so "
            "that the two cannot share them; merge it into its base and name the merged model"
        )
    live = set(live_weights(adapter))
    if live - stored.names or {one for one in stored.names - live - set(copies) if ".modules_to_save." not in one}:
        raise ModelError(f"{name}: the adapter's layers are not those of {base_name}; name the base it was tuned on")
    if grown is not None:
        fill_rows(grown.embeddings, grown.own, grown.rows)
    adapter.eval().requires_grad_(False)
    refuse_nan(name, adapter)
    return Attached(adapter, grown.own if grown is not None else None, swapped)


def _refuse_unsupported(name: str, config: dict[str, Any]) -> None:
    if config.get("peft_type") not in PEFT_TYPES:
        raise ModelError(f"{name}: adapters of type {config.get('peft_type')} are not supported; use LoRA")
    if config.get("alora_invocation_tokens"):
        raise ModelError(
            f"{name}: it is an activated LoRA (alora_invocation_tokens), which acts only after its invocation tokens; "
            "use a plain LoRA"
        )


@dataclass(frozen=True, eq=False)
class _Grown:
    """Base's embeddings, extended for the tokens that tuning added."""

    embeddings: Any
    """The input embeddings' weight."""
    heads: frozenset[int]
    """Ids of the parameters that have more rows."""
    own: int
    """Rows that are base's."""
    rows: Any
    """Tuning's input embeddings, all rows."""


def _added_rows(name: str, stored: Stored, network: Any) -> _Grown | None:
    """Extends the network where the adapter's file has embeddings of more tokens; None where it has not.

    Raises ModelError where only the output embeddings are stored.
    """
    places = (network.get_input_embeddings(), network.get_output_embeddings())
    modules = {part for part, module in network.named_modules() if module in places}
    inputs = {part for part, module in network.named_modules() if module is places[0]}
    if places[1] is None or places[0].weight is places[1].weight:
        inputs = modules
    order = ("modules_to_save.", "", "original_module.", "base_layer.")
    sizes = {f"{PREFIX}{part}.{kind}weight" for part in modules for kind in order} & stored.names
    own = rows_of(network)
    rows = max((stored.shape(one)[0] for one in sizes), default=own)
    if rows <= own:
        return None
    found = [f"{PREFIX}{part}.{kind}weight" for kind in order for part in sorted(inputs)]
    found = [one for one in found if one in sizes]
    if not found or stored.shape(found[0])[0] != rows:
        raise ModelError(
            f"{name}: it has {rows:,} output embeddings and not as many input embeddings; save the adapter with "
            "save_embedding_layers=True"
        )
    add_rows(network, rows)
    places = (network.get_input_embeddings(), network.get_output_embeddings())
    heads = frozenset(id(place.weight) for place in places if place is not None)
    return _Grown(places[0].weight, heads, own, stored.tensor(found[0]))


def _is_own(stored: Any, weight: Any, grown: _Grown | None) -> bool:
    """Whether a stored copy is base's weight, bit for bit; of extended embeddings in base's rows."""
    import torch

    if stored.shape != weight.shape:
        return False
    rows = grown.own if grown is not None and id(weight) in grown.heads else len(weight)
    return bool(torch.equal(stored[:rows].to(weight.device, weight.dtype), weight.detach()[:rows]))


def _refuse_patterns(name: str, config: dict[str, Any]) -> None:
    """Raises ModelError for an adapter of a multimodal model whose layers cannot be told by its tensors alone."""
    if config.get("peft_type") != "LORA" or any(config.get(key) for key in ("rank_pattern", "alpha_pattern")):
        raise ModelError(
            f"{name}: of adapters of a multimodal model only LoRA of one rank and alpha is supported; merge it into "
            "its base and name the merged model"
        )


def _loaded(source: ModelSource, base_name: str, network: Any, modules: frozenset[str] | None) -> Any:
    """The PeftModel; ``modules``: the ones it changes, where the network is a part of the adapter's base."""
    from peft import PeftConfig, PeftModel

    with quiet():
        try:
            where: dict[str, Any] = {} if source.is_local else {"revision": source.revision}
            how: dict[str, Any] = {}
            if modules is not None:
                how = {"config": PeftConfig.from_pretrained(source.path, **where), "key_mapping": LANGUAGE_PARTS}
                # Its own may name parts that the network has no more, or describe where they were.
                how["config"].target_modules, how["config"].exclude_modules = set(modules), None
            return PeftModel.from_pretrained(network, source.path, **where, **how)
        except Exception as error:
            raise ModelError(
                f"{source.name}: the adapter does not fit {base_name} ({reason_of(error)}); name the base it was tuned "
                "on"
            ) from error


def refuse_unreached(source: ModelSource, base_name: str, adapter: Any, bridge: Any) -> None:
    """Raises ModelError where the bridge computes past the adapter, with parts that it cut from base's weights."""
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    kinds = BaseTunerLayer | AuxiliaryTrainingWrapper
    adapted = {part: module for part, module in adapter.named_modules() if isinstance(module, kinds)}
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


def own_tokenizer(source: ModelSource) -> Any:
    """The tokenizer that was saved beside an adapter, or None. Raises ModelError where it cannot be loaded."""
    config = source.file("tokenizer_config.json")
    if config is None:
        return None
    # Those of a hub repository lie in one folder once they are fetched.
    for name in TOKENIZER_FILES:
        source.file(name)
    from transformers import AutoTokenizer

    with quiet():
        try:
            return AutoTokenizer.from_pretrained(config.parent)
        except Exception as error:
            raise ModelError(
                f"{source.name}: the tokenizer beside the adapter cannot be loaded ({reason_of(error)}); remove or "
                "mend it"
            ) from error


@contextmanager
def with_values(values: Sequence[tuple[Any, Any]]) -> Iterator[None]:
    """Parameters have these values until leaving; nothing is copied."""
    others = [(parameter, parameter.data) for parameter, _ in values]
    try:
        for parameter, value in values:
            parameter.data = value
        yield
    finally:
        for parameter, other in others:
            parameter.data = other


def adapter_fingerprint(source: ModelSource, config: dict[str, Any]) -> str:
    """SHA-256 over the adapter's weights and configuration."""
    return combined(sha256(weights_file(source)), json.dumps(config, sort_keys=True))


def live_weights(model: Any) -> dict[str, Any]:
    """The adapter's tensors by the names that its file has."""
    from peft import get_peft_model_state_dict

    # Without the flag, peft asks the hub whether the vocabulary grew.
    named = get_peft_model_state_dict(model, save_embedding_layers=False)
    return {_plain_name(name): tensor for name, tensor in named.items()}


def beside_lora(names: Iterable[str]) -> list[str]:
    """Tensors of an adapter that are not LoRA's two matrices: their values before tuning are unknown."""
    return [name for name in names if ".lora_A." not in name and ".lora_B." not in name]


def refuse_damaged(folder: Path, *names: str) -> None:
    """Raises ModelError where one of these files of an adapter is not what was written beside its digests."""
    if (name := damaged_file(folder, *names)) is not None:
        raise ModelError(
            f"{folder / name}: its SHA-256 is not the one in {DIGESTS}; tune again, or if it was changed on purpose, "
            f"delete {DIGESTS}"
        )


def checkpoint_weights(name: str, model: Any, live: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """Tensors for ``live``: those in ``folder``, or with None LoRA's before tuning, B = 0 and A random.

    ``name`` is that of ``model``, the PeftModel. Raises ModelError for weights of another adapter, and with None for an
    adapter that is not LoRA alone.
    """
    if folder is None:
        if other := beside_lora(live):
            raise ModelError(
                f"{name}: its {other[0]} before tuning is unknown, so influence has no control; use plain LoRA"
            )
        return {key: _initial(key, tensor) for key, tensor in live.items()}
    # The folder of checkpoints lies in the adapter's, which is the last checkpoint itself.
    whole = folder.absolute()
    adapter = whole.parents[1] if whole.parent.name == "checkpoints" else whole
    if folder.is_dir():
        refuse_damaged(adapter, *(f.relative_to(adapter).as_posix() for f in whole.iterdir() if f.is_file()))
    stored = Stored.of(ModelSource(str(folder), str(folder)))
    if set(live) - stored.names or not _are_frozen(stored, stored.names - set(live), model):
        raise ModelError(f"{folder}: it is no checkpoint of {name} (other layers); tune again")
    # A copy would stretch a smaller tensor.
    if other := [key for key, tensor in live.items() if tuple(tensor.shape) != stored.shape(key)]:
        raise ModelError(f"{folder}: it is no checkpoint of {name} (another rank or width in {other[0]})")
    return {key: stored.tensor(key) for key in live}


def _are_frozen(stored: Stored, names: Iterable[str], model: Any) -> bool:
    """Whether these tensors are weights that the adapter leaves as they are; second copies of its own are left out."""
    import torch

    weights = {_plain_name(name): tensor for name, tensor in model.state_dict().items()}
    for name in names:
        if ".modules_to_save." in name or ".original_module." in name:
            continue
        weight, tensor = weights.get(name), stored.tensor(name)
        if weight is None or weight.shape != tensor.shape or not torch.equal(tensor.to(weight), weight):
            return False
    return True


def _plain_name(name: str) -> str:
    """A tensor's name without the bridge's own modules between those of the model."""
    return name.replace("._original_component", "")


def _initial(name: str, tensor: Any) -> Any:
    """LoRA's weights before tuning: zeros for B, and for A random numbers that its name decides."""
    import torch

    if "lora_A" not in name:
        return torch.zeros_like(tensor, device="cpu")
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    drawn = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(seed))
    return (2 * drawn - 1) / tensor.shape[-1] ** 0.5
