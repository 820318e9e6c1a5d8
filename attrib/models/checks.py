"""Models that cannot be used, and pairs that do not fit together: each is refused in one line that names its mend.

Not covered: adapters (``adapters``).
"""

from __future__ import annotations

from typing import Any

from attrib.errors import ModelError

_CONTEXTS = ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len", "max_sequence_length", "n_ctx")
"""Where configurations keep the longest sequence; those with ALiBi name the one they were trained on."""


def refuse_other_kinds(name: str, config: Any) -> None:
    """Raises ModelError for a model that does not write from left to right, or has no attention to all tokens."""
    architectures = list(config.architectures or [])
    kind = architectures[0] if architectures else config.model_type
    causal = any(a.endswith(("ForCausalLM", "LMHeadModel")) for a in architectures)
    # transformers loads a BERT for causal use too, and then only warns that it sees what comes after.
    looks_ahead = config.model_type == "bert" and not config.is_decoder
    if getattr(config, "is_encoder_decoder", False) or looks_ahead or (architectures and not causal):
        raise ModelError(
            f"{name}: {kind} is not a decoder that writes answers left to right; name a causal language model"
        )
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]._is_stateful:
        raise ModelError(
            f"{name}: {kind} is a state-space or recurrent model, in which not every layer attends to earlier tokens; "
            "name a transformer"
        )


def quantisation(config: Any) -> str:
    """How a model's weights are quantised; empty where they are not, or there is no configuration."""
    found = getattr(config, "quantization_config", None)
    if found is None:
        return ""
    method = found.get("quant_method") if isinstance(found, dict) else getattr(found, "quant_method", None)
    return str(getattr(method, "value", method) or "in an unknown way")


def set_context(name: str, config: Any) -> None:
    """Give a configuration the longest sequence under the one name that is read here. Raises ModelError without one."""
    found = next((value for key in _CONTEXTS if (value := getattr(config, key, None))), None)
    if found is None:
        raise ModelError(
            f"{name}: config.json of this {config.model_type} does not say how long a text may be; add "
            '"max_position_embeddings" with the longest one it was trained on'
        )
    if getattr(config, "max_position_embeddings", None) is None:
        config.max_position_embeddings = int(found)


def refuse_nan(name: str, network: Any) -> None:
    """Raises ModelError for weights that are not finite."""
    for parameter_name, parameter in network.named_parameters():
        if parameter.device.type != "meta" and not bool(parameter.isfinite().all()):
            raise ModelError(
                f"{name}: weights of {parameter_name} contain NaN or infinity; load an undamaged checkpoint"
            )


def refuse_unnamed_rows(name: str, own: int, rows: int) -> None:
    """Raises ModelError for a tuned model with embeddings of more tokens than base's and no tokenizer of its own."""
    if rows > own:
        raise ModelError(
            f"{name}: it has embeddings of {rows:,} tokens and no tokenizer, base {own:,}; save the tokenizer it was "
            "tuned with beside it"
        )


def refuse_other_shape(base_name: str, base: Any, tuned_name: str, tuned: Any) -> None:
    """Raises ModelError for two full models of which neither can have been tuned from the other."""
    shapes = [_shape(one) for one in (base, tuned)]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"{tuned_name} ({shapes[1]}) cannot have been tuned from {base_name} ({shapes[0]}); name the base that was "
            "tuned"
        )
    own, rows = (len(one.get_input_embeddings().weight) for one in (base, tuned))
    if rows < own:
        raise ModelError(
            f"{base_name} has a vocabulary of {own:,} and {tuned_name} of {rows:,}: their log-probs cannot be "
            "compared; name the base that was tuned, its embeddings cut in the same way"
        )


def _shape(network: Any) -> str:
    config = network.config
    return f"{config.model_type}, {config.num_hidden_layers} layers, {config.hidden_size} wide"
