"""Flags and keys that are gone → the key that takes their place, and an example of a value.

An old one is an error that names the new option."""

from __future__ import annotations

from collections.abc import Mapping

MOVED: Mapping[str, tuple[str, str]] = {
    "--contrast": ("prompt.contrast", "ANSWER"),
    "--unit": ("prompt.unit", "token"),
    "--special": ("prompt.special", "exclude"),
    "--at": ("prompt.at", "blocks.5.hook_out"),
    "--attention-layer": ("attention_head.layer", "5"),
    "--attention-head": ("attention_head.head", "0"),
    "--steps": ("integrated_gradients.steps", "20"),
    "--rule": ("integrated_gradients.rule", "gauss"),
    "--tolerance": ("integrated_gradients.tolerance", "0.05"),
    "--baseline": ("prompt.baseline", "eos"),
    "--path": ("integrated_gradients.path", "prefix"),
    "--samples": ("smoothgrad.samples", "16"),
    "--noise": ("smoothgrad.noise", "0.1"),
    "--sources": ("perturbation.sources", "sentence"),
    "--ablate": ("perturbation.ablate", "replace"),
    "--ablate-template": ("perturbation.template", "true"),
    "--ablations": ("contextcite.ablations", "64"),
    "--permutations": ("shapley.permutations", "8"),
    "--influence-form": ("influence.form", "dot"),
    "--influence-checkpoints": ("influence.checkpoints", "final"),
    "--influence-layers": ("gradients.layers", "0,1"),
    "--answer-from": ("answer.source", "base"),
    "--text-column": ("documents.columns", "text=COLUMN"),
    "--title-column": ("documents.columns", "title=COLUMN"),
    "documents.text_column": ("documents.columns", "text=COLUMN"),
    "documents.title_column": ("documents.columns", "title=COLUMN"),
    "--max-tokens": ("documents.max_tokens", "256"),
    "--layer": ("hidden.layer", "5"),
    "--heads": ("explain.heads", "true"),
    "--memory": ("explain.memory_gb", "2"),
    "--dtype": ("models.dtype", "float32"),
    "--device-map": ("models.device_map", "auto"),
    "--revision": ("models.revision", "REVISION"),
    "--tuned-revision": ("models.tuned_revision", "REVISION"),
    "--train-kinds": ("learning.kinds", "trained,updated"),
    "--batch": ("holdout.batch", "16"),
    "--threshold": ("consistency.threshold", "0.75"),
    "--nli": ("consistency.nli", "MODEL"),
    "--queue": ("requests.queue", "16"),
    "--max-question": ("requests.max_question", "2000"),
    "--max-answer": ("requests.max_answer", "4000"),
}
