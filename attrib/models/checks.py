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


def refuse_fewer_rows(base_name: str, base: Any, tuned_name: str, tuned: Any) -> None:
    """Raises ModelError for two full models whose embeddings cannot be those of one vocabulary."""
    (own, size), (rows, other) = (tuple(one.get_input_embeddings().weight.shape) for one in (base, tuned))
    if rows < own:
        raise ModelError(
            f"{base_name} has a vocabulary of {own:,} and {tuned_name} of {rows:,}: their log-probs cannot be "
            "compared; name the base that was tuned, its embeddings cut in the same way"
        )
    if rows > own and size != other:
        raise ModelError(
            f"{base_name} has embeddings of {size:,} numbers and {tuned_name} of {other:,}, for more tokens; name the "
            "base that was tuned"
        )
