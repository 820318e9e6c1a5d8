"""Base and tuned model behind one tokenizer, hooked through TransformerLens.

Where tuned is an adapter of base, ONE copy of the weights serves both: the adapter stays live and is switched off
for base. The hook points of the plain model fire in both states and nothing is merged, so base's weights never drift.
The only importer of transformer_lens. Not covered: encoder-decoder and encoder-only models, prompt-tuning adapters,
adapters that rewrite weights of their base (biases, resized embeddings, PiSSA), adapters on queries, keys and values
that are one matrix (GPT-NeoX, Phi-3; refused), a chat template beside an adapter.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.resources
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attrib.errors import InputError, ModelError
from attrib.files import sha256
from attrib.models import bundled

DEFAULT = "smollm2-135m-instruct"
"""Name of the bundled base model."""
DEMO_ADAPTER = "demo"
"""Name of the bundled adapter, tuned on the demo's documents."""


@dataclass(frozen=True, eq=False)
class Model:
    """One side of a pair; ``active()`` gives the hooked model with its adapter on or off."""

    name: str
    fingerprint: str
    """SHA-256 over the weight files (hub models: their commit), adapter included."""
    bridge: Any
    tokenizer: Any
    adapter: Any = None
    """The PeftModel that shares the weights, or None."""
    adapter_on: bool = False
    folder: Path | None = None
    """Where the adapter's files are; None without an adapter, or where it came from the hub."""

    @contextmanager
    def active(self) -> Iterator[Any]:
        """The TransformerBridge in evaluation mode, with this side's adapter state; restored on leaving."""
        network = self.bridge.original_model
        training = network.training
        # Both walks over the model take longer than reading a short section: only where there is something to change.
        if training:
            network.eval()
        # peft's own disable_adapter() surveys the whole model first.
        switched = self.adapter.base_model if self.adapter is not None and not self.adapter_on else None
        trainable = [p.requires_grad for p in network.parameters()] if switched is not None else []
        try:
            if switched is not None:
                switched.disable_adapter_layers()
            yield self.bridge
        finally:
            if switched is not None:
                switched.enable_adapter_layers()
                # Switching an adapter on again makes peft mark its weights as trainable.
                for parameter, flag in zip(network.parameters(), trainable, strict=True):
                    parameter.requires_grad_(flag)
            if training:
                network.train()

    @contextmanager
    def plain(self) -> Iterator[Any]:
        """The network as transformers made it, with this side's adapter state and without hooks; hooked on leaving.

        Same numbers as ``active()`` for a tenth less time: where nothing is to be seen, hooks only cost.
        """
        from transformer_lens.model_bridge.generalized_components.base import GeneralizedComponent

        replaced: list[tuple[Any, str, Any]] = []

        def unhook(parent: Any) -> None:
            for name, child in list(parent._modules.items()):
                inner = child
                while isinstance(inner, GeneralizedComponent) and inner.original_component is not None:
                    inner = inner.original_component
                if inner is not child:
                    replaced.append((parent, name, child))
                    parent._modules[name] = inner
                if inner is not None:
                    unhook(inner)

        with self.active() as bridge:
            try:
                unhook(bridge.original_model)
                yield bridge.original_model
            finally:
                for parent, name, child in reversed(replaced):
                    parent._modules[name] = child

    @contextmanager
    def at_checkpoint(self, folder: Path | None) -> Iterator[None]:
        """The adapter's weights are those in ``folder`` until leaving; None: as before tuning, B = 0 and A random.

        ModelError for a model without an adapter, for a folder whose weights are not this adapter's, and with None for
        an adapter that is not LoRA alone.
        """
        import torch
        from peft import get_peft_model_state_dict
        from safetensors.torch import load_file

        if self.adapter is None or not self.adapter_on:
            raise ModelError(f"{self.name}: it has no adapter, so no checkpoints; name an adapter made by attrib tune")
        named = get_peft_model_state_dict(self.adapter, save_embedding_layers=False)
        # The bridge puts its own modules between those of the model.
        live = {name.replace("._original_component", ""): tensor for name, tensor in named.items()}
        if folder is None:
            if other := [name for name in live if ".lora_A." not in name and ".lora_B." not in name]:
                raise ModelError(
                    f"{self.name}: its {other[0]} before tuning is unknown, so influence has no control; use plain LoRA"
                )
            state = {name: _initial(name, tensor) for name, tensor in live.items()}
        elif _stored_keys(str(folder), str(folder), None) != set(live):
            raise ModelError(f"{folder}: it is no checkpoint of {self.name} (other layers); tune again")
        else:
            state = load_file(folder / "adapter_model.safetensors")
            # A copy would stretch a smaller tensor.
            if other := [name for name, tensor in live.items() if tensor.shape != state[name].shape]:
                raise ModelError(f"{folder}: it is no checkpoint of {self.name} (another rank or width in {other[0]})")
        own = {name: tensor.clone() for name, tensor in live.items()}
        try:
            with torch.no_grad():
                for name, tensor in state.items():
                    live[name].copy_(tensor)
            yield
        finally:
            with torch.no_grad():
                for name, tensor in own.items():
                    live[name].copy_(tensor)

    @property
    def n_layers(self) -> int:
        """Number of transformer blocks."""
        return int(self.bridge.cfg.n_layers)

    @property
    def context(self) -> int:
        """Longest sequence in tokens."""
        return int(self.bridge.original_model.config.max_position_embeddings)

    @property
    def device(self) -> Any:
        """Device of the input embeddings."""
        return self.bridge.original_model.get_input_embeddings().weight.device


@dataclass(frozen=True, eq=False)
class ModelPair:
    """Base and tuned, checked to fit together."""

    base: Model
    tuned: Model
    tokenizer: Any
    device: str
    dtype: str
    tokenizer_sha256: str
    loading: Mapping[str, str | bool] = field(default_factory=dict)
    """How it was asked for beside names, device and dtype: ``revision``, ``tuned_revision``, ``device_map`` and
    ``trust_remote_code``, those that were given."""

    @property
    def variant(self) -> str:
        """Names all that changes a text's numbers besides weights and layer: device, dtype and tokenizer."""
        return f"{self.device}-{self.dtype}-{self.tokenizer_sha256}"

    @property
    def shares_weights(self) -> bool:
        """True where one copy of the weights serves both."""
        return self.base.bridge is self.tuned.bridge

    @property
    def context(self) -> int:
        """Longest sequence in tokens that both models take."""
        return min(self.base.context, self.tuned.context)

    @property
    def memory_saved(self) -> int:
        """Bytes not held because the weights are shared; 0 for two full models."""
        if not self.shares_weights:
            return 0
        weights = self.base.bridge.original_model.named_parameters()
        of_adapter = (self.tuned.adapter.base_model.prefix, "modules_to_save")
        return sum(p.numel() * p.element_size() for name, p in weights if not any(part in name for part in of_adapter))

    @classmethod
    def load(
        cls,
        base: str | Path | None = None,
        tuned: str | Path | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        revision: str | None = None,
        tuned_revision: str | None = None,
        device_map: str | None = None,
        trust_remote_code: bool = False,
    ) -> ModelPair:
        """Load base and tuned: hub id, local directory, GGUF file, or, for tuned, a PEFT adapter.

        ``base=None`` takes the adapter's own base, or the bundled default; ``tuned=None`` the demo's adapter.
        ``device`` auto, cpu, cuda, mps …; ``dtype`` auto (float32 on CPU, bfloat16 elsewhere), float32, bfloat16,
        float16, float64. ``device_map`` is handed to transformers for models larger than one GPU.
        Raises ModelError, one line, when either cannot be used or the two do not fit together.
        """
        options = _Options(_device(device), _dtype(dtype, _device(device)), device_map, trust_remote_code)
        tuned_name = str(tuned if tuned is not None else DEMO_ADAPTER)
        tuned_path = _resolve(tuned_name)
        _refuse_absent(tuned_name, tuned_path)
        _refuse_revision(tuned_name, tuned_path, tuned_revision)
        adapter_config = _adapter_config(tuned_path, tuned_revision)
        base_name = str(base) if base is not None else _own_base(tuned_name, adapter_config)
        network, tokenizer = load_network(base_name, revision, options)
        if adapter_config is None:
            tuned_network, tuned_tokenizer = load_network(tuned_name, tuned_revision, options)
            _refuse_mismatch(base_name, network, tokenizer, tuned_name, tuned_network, tuned_tokenizer)
            # The template of the tuned model is the one its answers were learned in.
            tokenizer.chat_template = tuned_tokenizer.chat_template or tokenizer.chat_template
            sides = (
                Model(
                    base_name,
                    fingerprint(base_name, network),
                    _bridge(base_name, network, tokenizer, options),
                    tokenizer,
                ),
                Model(
                    tuned_name,
                    fingerprint(tuned_name, tuned_network),
                    _bridge(tuned_name, tuned_network, tokenizer, options),
                    tokenizer,
                ),
            )
        else:
            print_base = fingerprint(base_name, network)
            adapter = _attach_adapter(
                tuned_name, tuned_path, tuned_revision, adapter_config, base_name, print_base, network
            )
            tokenizer.chat_template = _own_template(tuned_name, tuned_path, tokenizer) or tokenizer.chat_template
            bridge = _bridge(base_name, adapter.base_model.model, tokenizer, options)
            _refuse_unreached(tuned_name, base_name, adapter, bridge)
            print_tuned = _combine(print_base, _adapter_fingerprint(tuned_path, tuned_revision, adapter_config))
            sides = (
                Model(base_name, print_base, bridge, tokenizer, adapter, adapter_on=False),
                Model(
                    tuned_name,
                    print_tuned,
                    bridge,
                    tokenizer,
                    adapter,
                    adapter_on=True,
                    folder=Path(tuned_path) if Path(tuned_path).is_dir() else None,
                ),
            )
        given = {
            "revision": revision,
            "tuned_revision": tuned_revision,
            "device_map": device_map,
            "trust_remote_code": trust_remote_code,
        }
        loading = {name: value for name, value in given.items() if value}
        return cls(*sides, tokenizer, options.device, options.dtype, _tokenizer_sha256(tokenizer), loading)


@dataclass(frozen=True)
class _Options:
    device: str
    dtype: str
    device_map: str | None
    trust_remote_code: bool


def _device(device: str) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(
            f"device {device!r}: this PyTorch sees no GPU; use --device cpu or install a CUDA build of torch"
        )
    try:
        torch.zeros(1, device=device).item()
    except RuntimeError as error:
        raise ModelError(f"device {device!r}: PyTorch cannot use it ({_line(error)}); use --device cpu") from error
    return device


def _dtype(dtype: str, device: str) -> str:
    known = ("float32", "bfloat16", "float16", "float64")
    if dtype == "auto":
        return "float32" if device == "cpu" else "bfloat16"
    if dtype not in known:
        raise ModelError(f"dtype {dtype!r} is unknown; use one of auto, {', '.join(known)}")
    return dtype


def _resolve(name: str) -> str:
    """Bundled names as paths; everything else as it is."""
    if name == DEFAULT:
        return str(bundled.get_default_model())
    if name == DEMO_ADAPTER:
        return str(importlib.resources.files("attrib") / "data" / "demo" / "adapter")
    return name


def _adapter_config(path: str, revision: str | None) -> dict[str, Any] | None:
    """The adapter's configuration where ``path`` is a PEFT adapter, else None."""
    if Path(path).exists():
        file = Path(path) / "adapter_config.json"
        if not file.is_file():
            return None
    else:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            with quiet():
                file = Path(hf_hub_download(path, "adapter_config.json", revision=revision))
        except EntryNotFoundError:
            return None
        except Exception as error:
            raise ModelError(_not_loaded(path, error)) from error
    try:
        config = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{path}: adapter_config.json is not JSON ({error}); save the adapter again") from error
    return config if isinstance(config, dict) else None


def _refuse_absent(name: str, path: str) -> None:
    """What can only be a path must exist; other names may be the hub's."""
    if (path.endswith(".gguf") or path.startswith((".", "/", "~"))) and not Path(path).exists():
        raise ModelError(f"{name}: no such file or folder; check the path")


def _refuse_revision(name: str, path: str, revision: str | None) -> None:
    """Only the hub keeps revisions; for a local path the option would be ignored in silence."""
    if revision is not None and Path(path).exists():
        raise ModelError(f"{name}: it is a local path and has no revision {revision!r}; leave the revision out")


def _own_base(tuned_name: str, adapter_config: dict[str, Any] | None) -> str:
    """The base to use when none was named."""
    if adapter_config is None:
        raise ModelError(f"{tuned_name}: it is a full model, so its base must be named; add --base")
    named = adapter_config.get("base_model_name_or_path")
    if not named:
        raise ModelError(f"{tuned_name}: the adapter does not name its base model; add --base")
    return str(named)


def load_network(
    name: str,
    revision: str | None = None,
    options: _Options | None = None,
    *,
    device: str = "auto",
    dtype: str = "float32",
    four_bit: bool = False,
) -> tuple[Any, Any]:
    """A causal language model with eager attention, frozen, and its tokenizer.

    ``options`` replace ``device`` and ``dtype``. ``four_bit``: linear layers in 4 bits (nf4, their constants quantised
    too), the rest in bf16, as for QLoRA (Dettmers et al. 2305.14314).
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    if four_bit:
        refuse_four_bit(name)
    if options is None:
        device = _device(device)
        options = _Options(device, "bfloat16" if four_bit else _dtype(dtype, device), None, False)

    path = _resolve(name)
    _refuse_absent(name, path)
    _refuse_revision(name, path, revision)
    source: dict[str, Any] = {"revision": revision, "trust_remote_code": options.trust_remote_code}
    if path.endswith(".gguf"):
        file = Path(path)
        path, source = str(file.parent), {"gguf_file": file.name}
    elif Path(path).is_dir():
        if not (Path(path) / "config.json").is_file():
            kind = (
                "an adapter, which can only be the tuned model"
                if (Path(path) / "adapter_config.json").exists()
                else "not a model"
            )
            raise ModelError(f"{name}: the folder has no config.json, so it is {kind}; name a base model's folder")
        source = {"trust_remote_code": options.trust_remote_code}
    with quiet():
        try:
            config = AutoConfig.from_pretrained(path, **source)
            _refuse_encoders(name, config)
            tokenizer = AutoTokenizer.from_pretrained(path, **source)
            # GGUF files are not safetensors but hold no code either.
            safe = {} if "gguf_file" in source else {"use_safetensors": True}
            network, info = AutoModelForCausalLM.from_pretrained(
                path,
                output_loading_info=True,
                dtype=getattr(torch, options.dtype),
                attn_implementation="eager",
                device_map={"": options.device} if four_bit else options.device_map,
                **({"quantization_config": _four_bit_config()} if four_bit else {}),
                **safe,
                **source,
            )
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(_not_loaded(name, error)) from error
    # transformers would fill them with random numbers.
    if info["missing_keys"]:
        raise ModelError(f"{name}: the weights of {min(info['missing_keys'])} are missing; load a complete checkpoint")
    if getattr(network.config, "max_position_embeddings", None) is None:
        raise ModelError(f"{name}: {config.model_type} has no max_position_embeddings in its config.json; add it")
    # What is in 4 bits was loaded where it stays.
    if options.device_map is None and not four_bit:
        network.to(options.device)
    network.eval().requires_grad_(False)
    _refuse_nan(name, network)
    return network, tokenizer


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


def _not_loaded(name: str, error: BaseException) -> str:
    """Why a model did not load, in one line."""
    if not Path(name).exists() and not name.endswith(".gguf"):
        return (
            f"{name}: neither a local path nor loadable from the hub ({_line(error)}); check the name, the network, "
            "or give a local folder"
        )
    return f"{name}: cannot be loaded ({_line(error)}); check that it is a complete transformers model with safetensors"


def _line(error: BaseException) -> str:
    """The beginning of another library's message as one line."""
    return " ".join(str(error).split())[:160] or type(error).__name__


def _refuse_encoders(name: str, config: Any) -> None:
    architectures = list(config.architectures or [])
    causal = any(a.endswith(("ForCausalLM", "LMHeadModel")) for a in architectures)
    # transformers loads a BERT for causal use too, and then only warns that it sees what comes after.
    looks_ahead = config.model_type == "bert" and not config.is_decoder
    if getattr(config, "is_encoder_decoder", False) or looks_ahead or (architectures and not causal):
        kind = architectures[0] if architectures else config.model_type
        raise ModelError(
            f"{name}: {kind} is not a decoder that writes answers left to right; name a causal language model"
        )


def _refuse_nan(name: str, network: Any) -> None:
    for parameter_name, parameter in network.named_parameters():
        if parameter.device.type != "meta" and not bool(parameter.isfinite().all()):
            raise ModelError(
                f"{name}: weights of {parameter_name} contain NaN or infinity; load an undamaged checkpoint"
            )


def _refuse_mismatch(
    base_name: str, base: Any, base_tokenizer: Any, tuned_name: str, tuned: Any, tuned_tokenizer: Any
) -> None:
    sizes = base.config.vocab_size, tuned.config.vocab_size
    if sizes[0] != sizes[1]:
        raise ModelError(
            f"{base_name} has a vocabulary of {sizes[0]:,} and {tuned_name} of {sizes[1]:,}: "
            "their log-probs cannot be compared; name the base that was tuned"
        )
    if not _same_tokens(base_tokenizer, tuned_tokenizer):
        raise ModelError(f"{base_name} and {tuned_name} split text into different tokens; name the base that was tuned")


def _same_tokens(one: Any, other: Any) -> bool:
    """Same vocabulary, and the same ids for a text with digits, blanks, accents and several scripts."""
    probe = "Tokens must agree: 1,024 naïve cafés\n\tالعربية 漢字 🙂"
    return bool(one.get_vocab() == other.get_vocab() and one(probe).input_ids == other(probe).input_ids)


def _attach_adapter(
    name: str,
    path: str,
    revision: str | None,
    adapter_config: dict[str, Any],
    base_name: str,
    base_fingerprint: str,
    network: Any,
) -> Any:
    """The network with the live adapter, every weight of the adapter file accounted for."""
    from peft import PeftModel, get_peft_model_state_dict

    if adapter_config.get("peft_type") not in ("LORA", "ADALORA", "LOHA", "LOKR", "IA3", "OFT", "VERA"):
        raise ModelError(f"{name}: adapters of type {adapter_config.get('peft_type')} are not supported; use LoRA")
    tuned_on = _read_json(Path(path) / "attrib.json").get("base_fingerprint")
    if tuned_on is not None and tuned_on != base_fingerprint:
        raise ModelError(
            f"{name}: the adapter was tuned on another model than {base_name} (weights differ); name its own base"
        )
    stored = _stored_keys(name, path, revision)
    before = [(p, p.data_ptr(), p._version) for p in network.parameters()]
    with quiet():
        try:
            source = {} if Path(path).exists() else {"revision": revision}
            adapter = PeftModel.from_pretrained(network, path, **source)
        except Exception as error:
            raise ModelError(
                f"{name}: the adapter does not fit {base_name} ({_line(error)}); name the base it was tuned on"
            ) from error
    rewritten = any((p.data_ptr(), p._version) != (pointer, version) for p, pointer, version in before)
    if rewritten or adapter_config.get("layer_replication"):
        raise ModelError(
            f"{name}: the adapter rewrites weights of {base_name} (biases, embeddings or layers), so that the two "
            "cannot share them; merge it into its base and name the merged model"
        )
    # Without the flag, peft asks the hub whether the vocabulary grew.
    if stored != set(get_peft_model_state_dict(adapter, save_embedding_layers=False)):
        raise ModelError(f"{name}: the adapter's layers are not those of {base_name}; name the base it was tuned on")
    adapter.eval().requires_grad_(False)
    _refuse_nan(name, adapter)
    return adapter


def _initial(name: str, tensor: Any) -> Any:
    """LoRA's weights before tuning: zeros for B, and for A random numbers that its name decides."""
    import torch

    if "lora_A" not in name:
        return torch.zeros_like(tensor, device="cpu")
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    drawn = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(seed))
    return (2 * drawn - 1) / tensor.shape[-1] ** 0.5


def _own_template(name: str, path: str, base_tokenizer: Any) -> str | None:
    """The chat template of a tokenizer that was saved beside a local adapter, if there is one."""
    if not (Path(path) / "tokenizer_config.json").is_file():
        return None
    from transformers import AutoTokenizer

    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(path)
        except Exception as error:
            raise ModelError(
                f"{name}: the tokenizer beside the adapter cannot be loaded ({_line(error)}); remove or mend it"
            ) from error
    if not _same_tokens(base_tokenizer, tokenizer):
        raise ModelError(f"{name}: its tokenizer splits text otherwise than its base's; name the base it was tuned on")
    template = tokenizer.chat_template
    return template if isinstance(template, str) else None


def _adapter_file(path: str, revision: str | None) -> Path:
    if Path(path).exists():
        return Path(path) / "adapter_model.safetensors"
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(path, "adapter_model.safetensors", revision=revision))


def _stored_keys(name: str, path: str, revision: str | None) -> set[str]:
    """Names of the adapter's tensors. Read first: peft would unpickle where there are no safetensors."""
    from safetensors import safe_open

    try:
        with safe_open(_adapter_file(path, revision), "np") as file:
            return set(file.keys())
    except Exception as error:
        raise ModelError(
            f"{name}: adapter_model.safetensors is missing or damaged ({_line(error)}); save the adapter again"
        ) from error


def _bridge(name: str, network: Any, tokenizer: Any, options: _Options) -> Any:
    import torch
    from transformer_lens.model_bridge import TransformerBridge

    # The bridge adds tokens that it misses, and would load the tokenizer anew by a name that may have no files
    # (GGUF) or others (a revision) unless beginnings are marked. Ids come from ours alone: it gets a copy.
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.init_kwargs["add_bos_token"] = True
    with quiet():
        try:
            return TransformerBridge.boot_transformers(
                name,
                hf_model=network,
                tokenizer=tokenizer,
                dtype=getattr(torch, options.dtype),
                trust_remote_code=options.trust_remote_code,
            )
        except Exception as error:
            raise ModelError(
                f"{name}: TransformerLens cannot hook {type(network).__name__} ({_line(error)}); use a supported model"
            ) from error


def _refuse_unreached(name: str, base_name: str, adapter: Any, bridge: Any) -> None:
    """Where queries, keys and values are one matrix the bridge uses parts that it cut from base's, past the adapter."""
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
            f"{name}: TransformerLens computes {place} of {base_name} without the adapter; merge the adapter into its "
            "base and name the merged model"
        )


def fingerprint(name: str, network: Any) -> str:
    """SHA-256 over the weight files; hub models are content-addressed by their commit.

    Configuration files are left out: libraries write their own version into them.
    """
    path = Path(_resolve(name))
    if path.is_file():
        return sha256(path)
    if path.is_dir():
        return _combine(*(sha256(file) for file in sorted(path.glob("*.safetensors"))))
    return str(getattr(network.config, "_commit_hash", None) or name)


def _adapter_fingerprint(path: str, revision: str | None, adapter_config: dict[str, Any]) -> str:
    return _combine(sha256(_adapter_file(path, revision)), json.dumps(adapter_config, sort_keys=True))


def _tokenizer_sha256(tokenizer: Any) -> str:
    vocabulary = json.dumps(sorted(tokenizer.get_vocab().items()))
    return _combine(vocabulary, str(tokenizer.chat_template))


def _combine(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def versions() -> dict[str, str]:
    """Versions that can change a number."""
    from importlib.metadata import PackageNotFoundError, version

    def one(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    return {name: one(name) for name in ("attrib", "torch", "transformers", "transformer-lens", "peft", "numpy")}


@contextmanager
def quiet() -> Iterator[None]:
    """Progress bars, notices and retry messages of transformers and the hub are held back: ours tell what matters."""
    import warnings
    from logging import CRITICAL

    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_verbosity = hub_logging.get_verbosity()
    logging.set_verbosity_error()
    hub_logging.set_verbosity(CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(hub_verbosity)
        if bars:
            logging.enable_progress_bar()
