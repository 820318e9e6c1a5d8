"""Models that cannot be used, and pairs that do not fit together: each is refused in one line that names its mend.

Not covered: adapters (``adapters``).
"""

from __future__ import annotations

from typing import Any

from attrib.errors import ModelError


def refuse_encoders(name: str, config: Any) -> None:
    """Raises ModelError for a model that does not write from left to right."""
    architectures = list(config.architectures or [])
    causal = any(a.endswith(("ForCausalLM", "LMHeadModel")) for a in architectures)
    # transformers loads a BERT for causal use too, and then only warns that it sees what comes after.
    looks_ahead = config.model_type == "bert" and not config.is_decoder
    if getattr(config, "is_encoder_decoder", False) or looks_ahead or (architectures and not causal):
        kind = architectures[0] if architectures else config.model_type
        raise ModelError(
            f"{name}: {kind} is not a decoder that writes answers left to right; name a causal language model"
        )


def refuse_nan(name: str, network: Any) -> None:
    """Raises ModelError for weights that are not finite."""
    for parameter_name, parameter in network.named_parameters():
        if parameter.device.type != "meta" and not bool(parameter.isfinite().all()):
            raise ModelError(
                f"{name}: weights of {parameter_name} contain NaN or infinity; load an undamaged checkpoint"
            )


def refuse_mismatch(
    base_name: str, base: Any, base_tokenizer: Any, tuned_name: str, tuned: Any, tuned_tokenizer: Any
) -> None:
    """Raises ModelError for two full models with other vocabularies or other tokens."""
    sizes = base.config.vocab_size, tuned.config.vocab_size
    if sizes[0] != sizes[1]:
        raise ModelError(
            f"{base_name} has a vocabulary of {sizes[0]:,} and {tuned_name} of {sizes[1]:,}: "
            "their log-probs cannot be compared; name the base that was tuned"
        )
    if not same_tokens(base_tokenizer, tuned_tokenizer):
        raise ModelError(f"{base_name} and {tuned_name} split text into different tokens; name the base that was tuned")


def same_tokens(one: Any, other: Any) -> bool:
    """Same vocabulary, and the same ids for a text with digits, blanks, accents and several scripts."""
    probe = "Tokens must agree: 1,024 naïve cafés\n\tالعربية 漢字 🙂"
    return bool(one.get_vocab() == other.get_vocab() and one(probe).input_ids == other(probe).input_ids)
