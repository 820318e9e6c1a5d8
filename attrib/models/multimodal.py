"""A multimodal checkpoint → its language model, which reads text as the whole does.

Not covered: images and sound, and kinds that are not listed: some read a prompt's text in both directions (PaliGemma),
of some transformers has the language model only inside the whole (Qwen-VL).
"""

from __future__ import annotations

import re
from typing import Any

from attrib.errors import ModelError

KINDS = ("gemma3", "mistral3", "llava", "llava_next", "internvl", "idefics3", "smolvlm")
"""Types whose language model was compared with the whole, logit by logit."""
LANGUAGE_PARTS = {
    r"^(model\.)?(language_model|text_model)\.lm_head\.": "lm_head.",
    r"^(model\.)?(language_model|text_model)\.(model\.)?(?=(layers|embed_tokens|norm)\b)": "model.",
}
"""Names in the checkpoint → names in the language model, as transformers and peft take them."""
_OTHER_PARTS = re.compile(r"\b(vision_tower|vision_model|visual|multi_modal_projector|connector|audio_tower)\b")


def language_config(name: str, config: Any) -> Any:
    """Configuration of the language model; None where the model has no other parts.

    Raises ModelError for a multimodal model whose language model cannot stand for it.
    """
    text = config.get_text_config()
    if text is config:
        return None
    if config.model_type not in KINDS:
        raise ModelError(
            f"{name}: it is multimodal ({config.model_type}), and its language model is not known to read text as the "
            f"whole does; name a text model, or one of these types: {', '.join(KINDS)}"
        )
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    text.architectures = [MODEL_FOR_CAUSAL_LM_MAPPING[type(text)].__name__]
    # The whole decides: parts may have their type's default.
    text.tie_word_embeddings = config.tie_word_embeddings
    return text


def language_name(name: str) -> str:
    """A tensor's name in the language model; others as they are."""
    for pattern, replacement in LANGUAGE_PARTS.items():
        found, times = re.subn(pattern, replacement, name)
        if times:
            return found
    return name


def is_other_part(name: str) -> bool:
    """Whether a tensor belongs to a part that text does not pass."""
    return bool(_OTHER_PARTS.search(name))
