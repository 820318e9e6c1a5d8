"""Slow and plain: bare Hugging Face networks that no hook point ever touched, one forward and one backward a token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attrib.models.prompt import Encoded, encode, encode_answer, encode_prompt
from attrib.options.fields import options_of, with_values
from attrib.options.methods import MethodOptions
from tests.conftest import tiny_tokenizer

QUESTION, ANSWER = "How long is the warranty?", "thirty-six months, for the keeper"
LONG = (
    "thirty-six months from first use. The keeper of the light is Wilmet Dallin, and in the year 1712 it was 38 metres"
)
ARCHITECTURES = ("llama", "gpt2", "gpt_neox", "phi", "gemma2", "gemma3_text", "qwen3", "ministral")
"""Grouped queries; fused qkv, biases, learned positions, dropout; parallel with two norms; parallel with one shared
norm; norms after attention, capped logits, scaled embeddings; one key head, two rotary bases, a sliding window on all
layers but the last; normed queries and keys; sliding windows, and a family that TransformerLens does not list."""

TargetOf = Callable[[Any, int], Any]
"""(logits [d_vocab], answer token's index) → the number that is explained."""


def knobs(options: MethodOptions | None = None, **values: Any) -> MethodOptions:
    """The options with each knob by its own name, whichever group it stands in."""
    options = options or MethodOptions()
    paths = {option.name: option.path for option in options_of(options, "prompt")}
    changed: MethodOptions = with_values(options, {paths.get(name, (name,)): value for name, value in values.items()})
    return changed


def encoded(pair: Any, question: str = QUESTION, answer: str = ANSWER) -> Encoded:
    """The question in the pair's chat template and the answer after it."""
    prompt = encode_prompt(pair.chat, question, context=pair.context)
    ids = encode_answer(pair.chat, question, prompt, answer)
    return encode(pair.tokenizer, prompt, ids, context=pair.context, question=question)


def bare(folder: Path, adapter: Path | None = None, dtype: torch.dtype = torch.float64) -> Any:
    """The network as transformers loads it, its adapter live."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()
    return network if adapter is None else PeftModel.from_pretrained(network, adapter).to(dtype).eval()


def gaps(pair: Any, base: Path, tuned: Path) -> dict[str, float]:
    """Largest difference of the pair's logits from those of transformers + PEFT by themselves, hooked and plain.

    Tokens that base lacks must be impossible under base. ``change`` is what tuning does to the logits.
    """
    ids = torch.arange(5, 45)[None]
    own = bare(base, dtype=torch.float32)
    rows = pair.tuned.bridge.original_model.get_input_embeddings().weight.shape[0]
    with torch.no_grad():
        want = {"base": own(ids).logits}
        if not (tuned / "adapter_config.json").is_file():
            other = bare(tuned, dtype=torch.float32)
        else:
            if rows > want["base"].shape[-1]:
                own.resize_token_embeddings(rows)
            from peft import PeftModel

            other = PeftModel.from_pretrained(own, tuned).eval()
        want["tuned"] = other(ids).logits
        width = want["base"].shape[-1]
        found = {"change": float((want["tuned"][..., :width] - want["base"]).abs().max())}
        # Base twice: it must not have drifted.
        for number, side in enumerate(("base", "tuned", "base")):
            model = getattr(pair, side)
            with model.active() as bridge:
                hooked = bridge(ids, use_cache=False)
            with model.plain() as network:
                plain = network(ids, use_cache=False).logits
            for way, logits in (("hooked", hooked), ("plain", plain)):
                wide = want[side].shape[-1]
                assert bool((logits[..., wide:] == float("-inf")).all())
                found[f"{side} {way} {number}"] = float((logits[..., :wide] - want[side]).abs().max())
    return found


def save_architecture(folder: Path, name: str, *, seed: int = 5, layers: int = 3, tied: bool | None = None) -> Path:
    """A tiny random model of another family, dropout in its configuration, and its tokenizer.

    ``tied``: whether its head is its embeddings; None: as the family has it.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = tiny_tokenizer()
    heads, size = 4, 32
    shape = {"num_hidden_layers": layers, "num_attention_heads": heads, "hidden_size": size, "intermediate_size": 48}
    grouped = {"num_key_value_heads": 2, "head_dim": 8}
    own: dict[str, dict[str, Any]] = {
        "llama": {**shape, **grouped},
        "gpt2": {
            "n_embd": size, "n_layer": layers, "n_head": heads, "n_positions": 256,
            "resid_pdrop": 0.3, "embd_pdrop": 0.3, "attn_pdrop": 0.3,
        },
        "gpt_neox": {**shape, "use_parallel_residual": True, "hidden_dropout": 0.2, "attention_dropout": 0.2},
        "phi": {**shape, "resid_pdrop": 0.2},
        "phi3": {**shape, **grouped, "resid_pdrop": 0.2},
        "gemma2": {
            **shape, **grouped, "sliding_window": 16,
            "final_logit_softcapping": 3.0, "attn_logit_softcapping": 2.0,
        },
        "gemma3_text": {
            **shape, "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 16,
            "layer_types": ["sliding_attention"] * (layers - 1) + ["full_attention"],
        },
        "qwen3": {**shape, **grouped},
        "ministral": {**shape, **grouped, "sliding_window": 16},
        "cwm": {**shape, **grouped},
    }  # fmt: skip
    if tied is not None:
        own[name]["tie_word_embeddings"] = tied
    if name != "gpt2":
        own[name]["max_position_embeddings"] = 256
    ids = {f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in ("bos", "eos", "pad")}
    torch.manual_seed(seed)
    network = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(name, vocab_size=len(tokenizer), **ids, **own[name])
    )
    for parameter in network.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(0, 0.2)
        else:
            # Norms and biases, which are ones and zeros at first.
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    network.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@dataclass(frozen=True, eq=False)
class Loop:
    """What a loop over answer tokens found, each on its own prefix; zero from the token on."""

    value: np.ndarray
    """[answer]"""
    gradient: np.ndarray
    """[answer, position, d_model]"""
    embeddings: np.ndarray
    """[position, d_model]; the last position is never fed and is zero."""
    attention: np.ndarray
    """[layer, head, answer, position], the row of the step that predicts the token."""
    attention_x_gradient: np.ndarray
    """[answer, position]: summed over layers, heads and the positions that look."""
    outputs: np.ndarray
    """[module, answer, position]: value · gradient of each watched module's output."""


def log_probability(text: Encoded) -> TargetOf:
    """log p of the answer token."""
    return lambda logits, i: logits.log_softmax(-1)[text.answer_ids[i]]


def loop(network: Any, text: Encoded, target: TargetOf | None = None, modules: Sequence[Any] = ()) -> Loop:
    """One forward and one backward for every answer token."""
    target = target or log_probability(text)
    total = len(text.ids)
    value, gradient, looked, products, outputs = [], [], [], [], []
    embeddings: Any = None
    for i in range(len(text.answer_ids)):
        prefix = torch.tensor([text.ids[: len(text.prompt_ids) + i]])
        seen: list[Any] = [None] * (1 + len(modules))
        handles = [network.get_input_embeddings().register_forward_hook(_leaf(seen))]
        handles += [module.register_forward_hook(_note(seen, at)) for at, module in enumerate(modules, 1)]
        result = network(prefix, output_attentions=True, use_cache=False)
        for handle in handles:
            handle.remove()
        number = target(result.logits[0, -1], i)
        wanted = [*seen, *result.attentions]
        found = torch.autograd.grad(number, wanted)
        embeddings = seen[0].detach()
        value.append(number.item())
        gradient.append(_wide(found[0][0].numpy(), total))
        dots = [(v.detach() * g).sum(-1)[0].numpy() for v, g in zip(seen[1:], found[1 : len(seen)], strict=True)]
        outputs.append([_wide(dot, total) for dot in dots])
        pairs = list(zip(result.attentions, found[len(seen) :], strict=True))
        products.append(_wide(sum((a.detach() * g).sum((0, 1, 2)).numpy() for a, g in pairs), total))
        looked.append([[_wide(head.detach().numpy(), total) for head in a[0, :, -1]] for a in result.attentions])
    return Loop(
        np.array(value),
        np.array(gradient),
        _wide(embeddings[0].numpy(), total),
        np.array(looked).transpose(1, 2, 0, 3),
        np.array(products),
        np.array(outputs).transpose(1, 0, 2) if modules else np.zeros((0, len(value), total)),
    )


def _leaf(seen: list[Any]) -> Callable[..., Any]:
    def begin(module: Any, given: Any, out: Any) -> Any:
        seen[0] = out.detach().requires_grad_(True)
        return seen[0]

    return begin


def _note(seen: list[Any], at: int) -> Callable[..., None]:
    def note(module: Any, given: Any, out: Any) -> None:
        seen[at] = out[0] if isinstance(out, tuple) else out

    return note


def _wide(values: np.ndarray, total: int) -> np.ndarray:
    """Zeros after the prefix, along the first axis."""
    return np.pad(values, [(0, total - len(values))] + [(0, 0)] * (values.ndim - 1))
