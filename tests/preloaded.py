"""Imported once by the server of tests/programs.py: what every command with models needs, and the commands."""

import matplotlib.backends.backend_agg
import matplotlib.figure
import peft
import pytest
import sentence_transformers
import torch.distributed
import transformer_lens.model_bridge
import uvicorn
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast, Trainer

import attrib.assess.retraining
import attrib.cli
import attrib.explaining
import attrib.render.export
import attrib.server.app
import attrib.training.tune

__all__ = [
    "AutoModelForCausalLM", "AutoTokenizer", "LlamaForCausalLM", "PreTrainedTokenizerFast", "Trainer", "attrib",
    "matplotlib", "peft", "pytest", "sentence_transformers", "torch", "transformer_lens", "uvicorn",
]  # fmt: skip
