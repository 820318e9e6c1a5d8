"""Base and tuned model behind one tokenizer, hooked through TransformerLens.

Where tuned is an adapter of base, ONE copy of the weights serves both: the adapter stays live and is switched off
for base. The hook points of the plain model fire in both states and nothing is merged, so base's weights never drift.
Not covered: encoder-decoder and encoder-only models, adapters that change their base's weights (``adapters``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from attrib.errors import ModelError
from attrib.models.adapters import (
    adapter_config,
    adapter_fingerprint,
    attach_adapter,
    checkpoint_weights,
    live_weights,
    own_tokenizer,
    refuse_unreached,
    with_values,
)
from attrib.models.chat import Chat, PromptForm
from attrib.models.checks import refuse_other_shape, refuse_unnamed_rows
from attrib.models.fingerprint import combined, fingerprint, tokenizer_sha256
from attrib.models.fused import inner, use_whole
from attrib.models.loading import choose_device, choose_dtype, hooked, load_network
from attrib.models.origin import check_base, own_base
from attrib.models.quiet import quiet
from attrib.models.sources import DEMO_ADAPTER, ModelSource
from attrib.models.templates import Templates, adapter_templates, unknown_template
from attrib.models.tuned_prompt import merged, read_prompt
from attrib.models.vocabulary import add_rows, added_note, fill_rows, rows_of, shared_tokenizer, without_rows
from attrib.options.chat import ChatOptions, TemplateOptions
from attrib.options.loading import Models
from attrib.records import Turn


@dataclass(frozen=True, eq=False)
class Model:
    """One side of a pair; ``active()`` gives the hooked model with its adapter on or off."""

    name: str
    fingerprint: str
    """SHA-256 over the weight files (hub models: their commit), adapter included."""
    bridge: Any
    chat: Chat
    adapter: Any = None
    """The PeftModel that shares the weights, or None."""
    adapter_on: bool = False
    folder: Path | None = None
    """Where the adapter's files are; None without an adapter, or where it came from the hub."""
    common_rows: int | None = None
    """Tokens that both sides have, the first of the vocabulary; None: all. Base's logits of the others are −∞."""
    lacks_rest: bool = False
    """Whether this is base, where tuning added tokens."""
    swapped: tuple[tuple[Any, Any], ...] = ()
    """Parameters that the other side has other values for, and this side's values."""

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
                # peft warns of biases, which are switched here.
                with quiet() if self.swapped else nullcontext():
                    switched.disable_adapter_layers()
            with without_rows(network, self.common_rows if self.lacks_rest else None), with_values(self.swapped):
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
        replaced: list[tuple[Any, str, Any]] = []

        def unhook(parent: Any) -> None:
            for name, child in list(parent._modules.items()):
                plain = inner(child)
                if plain is not child:
                    replaced.append((parent, name, child))
                    parent._modules[name] = plain
                if plain is not None:
                    unhook(plain)

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

        if self.adapter is None or not self.adapter_on:
            raise ModelError(f"{self.name}: it has no adapter, so no checkpoints; name an adapter made by attrib tune")
        live = live_weights(self.adapter)
        state = checkpoint_weights(self.name, self.adapter, live, folder)
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
    def tokenizer(self) -> Any:
        """The tokenizer of the pair."""
        return self.chat.tokenizer

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
    chat: Chat
    device: str
    dtype: str
    tokenizer_sha256: str
    loading: Mapping[str, str | bool] = field(default_factory=dict)
    """Options of loading besides names, device and dtype, those that were given: ``revision``, ``tuned_revision``,
    ``device_map``, ``trust_remote_code`` and ``any_base``."""
    notes: tuple[str, ...] = ()
    """Lines on what was assumed about the two, to be shown once."""

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of both models."""
        return self.chat.tokenizer

    def asking(self, turns: Sequence[Turn], tools: str = "", *, raw: bool = False) -> ModelPair:
        """The same pair, for a question with turns before it or tools, or one that its answer follows directly."""
        chat = self.chat.asking(turns, tools, raw=raw)
        if chat is self.chat:
            return self
        return replace(self, base=replace(self.base, chat=chat), tuned=replace(self.tuned, chat=chat), chat=chat)

    @property
    def variant(self) -> str:
        """Device, dtype, tokenizer and prompt: what changes a text's numbers besides weights and layer."""
        prompt = f"-{self.chat.identity}" if self.chat.identity else ""
        return f"{self.device}-{self.dtype}-{self.tokenizer_sha256}{prompt}"

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
        adapter_parts = (self.tuned.adapter.base_model.prefix, "modules_to_save")
        return sum(
            weight.numel() * weight.element_size()
            for name, weight in weights
            if not any(part in name for part in adapter_parts)
        )

    @classmethod
    def load(
        cls,
        base: str | Path | None = None,
        tuned: str | Path | None = None,
        *,
        device: str = Models.device,
        dtype: str = Models.dtype,
        revision: str | None = None,
        tuned_revision: str | None = None,
        device_map: str | None = None,
        trust_remote_code: bool = False,
        any_base: bool = Models.any_base,
        chat: TemplateOptions | None = None,
    ) -> ModelPair:
        """Load base and tuned: hub id, local directory, GGUF file, or, for tuned, a PEFT adapter.

        ``base=None`` takes the adapter's own base, or the bundled default; ``tuned=None`` the demo's adapter.
        ``device`` auto, cpu, cuda, mps …; ``dtype`` auto (float32 on CPU, bfloat16 elsewhere), float32, bfloat16,
        float16, float64. ``device_map`` is handed to transformers for models larger than one GPU. ``any_base`` accepts
        a base that is not the one an adapter names. ``chat``: how questions become prompts, by default with the tuned
        model's chat template, else the base's.
        Raises ModelError, one line, when either cannot be used or the two do not fit together; InputError for a
        prompt that cannot be made.
        """
        prompts = _Prompts(chat or ChatOptions())
        device = choose_device(device)
        loader = _Loader(device, choose_dtype(dtype, device), device_map, trust_remote_code)
        source = ModelSource.of(str(tuned if tuned is not None else DEMO_ADAPTER), tuned_revision)
        config = adapter_config(source)
        own = ModelSource.of(str(base), revision) if base is not None else own_base(source, config, revision)
        if config is None:
            before, after, notes = _two_models(loader, prompts, own, source)
        else:
            before, after, notes = _one_model_and_adapter(loader, prompts, own, source, config, any_base=any_base)
        given = {
            "revision": revision,
            "tuned_revision": tuned_revision,
            "device_map": device_map,
            "trust_remote_code": trust_remote_code,
            "any_base": any_base,
        }
        loading = {name: value for name, value in given.items() if value}
        made = after.chat
        return cls(before, after, made, device, loader.dtype, tokenizer_sha256(made.tokenizer), loading, notes)


@dataclass(frozen=True)
class _Loader:
    """How both models are loaded."""

    device: str
    dtype: str
    device_map: str | None
    trust_remote_code: bool

    def network(self, source: ModelSource, spare_tokenizer: Any = None) -> tuple[Any, Any]:
        """The network and its tokenizer."""
        return load_network(source.name, revision=source.revision, spare_tokenizer=spare_tokenizer, **asdict(self))

    def hook(self, source: ModelSource, network: Any, tokenizer: Any) -> Any:
        """The network behind a bridge."""
        return hooked(source.name, network, tokenizer, dtype=self.dtype, trust_remote_code=self.trust_remote_code)


class _Prompts:
    """How questions become prompts; what can be read without the models is read at once."""

    def __init__(self, options: TemplateOptions) -> None:
        self.options = options
        self.form = PromptForm.of(options)

    def chat(self, tokenizer: Any, tuned: Templates | None, folder: Path | None = None) -> Chat:
        """The prompts of both models. ``tokenizer`` of base gets the tuned one's template, that of the answers.

        ``folder``: an adapter's, which may hold the prompt that it was tuned with.
        """
        base = Templates.of(tokenizer.chat_template, "chat template of the base model")
        options, form = self.options, self.form
        if (stored := read_prompt(folder)) is not None:
            form, own = merged(stored, options, form)
            if own == "none":
                options = replace(options, template="none")
            elif isinstance(own, Templates):
                tuned = own
        if tuned is not None:
            tokenizer.chat_template = tuned.value
        return Chat.make(tokenizer, options, form, tuned, base)


Sides = tuple[Model, Model, tuple[str, ...]]
"""Base, tuned, and notes on the two."""


def _two_models(loader: _Loader, prompts: _Prompts, base: ModelSource, tuned: ModelSource) -> Sides:
    """Two full models, each with weights of its own."""
    network, tokenizer = loader.network(base)
    other, other_tokenizer = loader.network(tuned, tokenizer)
    prints = fingerprint(base.name, network), fingerprint(tuned.name, other)
    refuse_other_shape(base.name, network, tuned.name, other)
    own, rows = rows_of(network), rows_of(other)
    templates = Templates.of(other_tokenizer.chat_template, "chat template of the tuned model")
    notes: tuple[str, ...] = ()
    if not tuned.has_tokenizer:
        notes = (f"{tuned.label} has no tokenizer of its own; that of {base.label} is taken",)
        refuse_unnamed_rows(tuned.name, own, rows)
    tokenizer = shared_tokenizer(base.name, tokenizer, tuned.name, other_tokenizer, rows)
    chat = prompts.chat(tokenizer, templates)
    if rows > own:
        add_rows(network, rows)
        fill_rows(network.get_input_embeddings().weight, own, other.get_input_embeddings().weight)
        # Base reads new tokens by tuning's embeddings.
        prints = combined(*prints), prints[1]
    common = own if rows > own else None
    before = Model(
        base.name, prints[0], loader.hook(base, network, tokenizer), chat,
        common_rows=common, lacks_rest=common is not None,
    )  # fmt: skip
    after = Model(tuned.name, prints[1], loader.hook(tuned, other, tokenizer), chat, common_rows=common)
    return before, after, (*notes, *added_note(tokenizer, common, base.label))


def _one_model_and_adapter(
    loader: _Loader, prompts: _Prompts, base: ModelSource, tuned: ModelSource, config: dict[str, Any], *, any_base: bool
) -> Sides:
    """A base and its live adapter on one copy of the weights."""
    try:
        network, tokenizer = loader.network(base)
    except ModelError as error:
        if base.name != config.get("base_model_name_or_path"):
            raise
        raise ModelError(f"{error}; it is the base that {tuned.name} names, and --base names another") from error
    print_base = fingerprint(base.name, network)
    notes = check_base(tuned, config, base, print_base, any_base=any_base)
    attached = attach_adapter(tuned, config, base.name, network)
    adapter, common = attached.model, attached.own_rows
    if (beside := own_tokenizer(tuned)) is not None:
        tokenizer = shared_tokenizer(base.name, tokenizer, tuned.name, beside, rows_of(network))
    chat = prompts.chat(tokenizer, adapter_templates(tuned), tuned.folder)
    notes = (*notes, *unknown_template(tuned))
    bridge = loader.hook(base, adapter.base_model.model, tokenizer)
    use_whole(bridge, (parameter for parameter, _ in attached.swapped))
    refuse_unreached(tuned, base.name, adapter, bridge)
    print_tuned = combined(print_base, adapter_fingerprint(tuned, config))
    # Base reads new tokens by tuning's embeddings.
    print_before = print_base if common is None else combined(print_base, print_tuned)
    before = Model(
        base.name, print_before, bridge, chat, adapter,
        common_rows=common, lacks_rest=common is not None, swapped=attached.swapped,
    )  # fmt: skip
    after = Model(
        tuned.name, print_tuned, bridge, chat, adapter, adapter_on=True, folder=tuned.folder, common_rows=common
    )
    return before, after, (*notes, *added_note(tokenizer, common, base.label))
