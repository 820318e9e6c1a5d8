"""Made-up assessments of one model pair in their folders, as the commands write them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from attrib.assess.attribution.tell import write_verdicts
from attrib.assess.benchmark.run import BenchmarkReport
from attrib.assess.benchmark.tell import write_benchmark
from attrib.assess.consistency.tell import write_consistency
from attrib.assess.faithfulness.run import RANDOM, RARE, FaithfulnessReport, FaithfulnessRow
from attrib.assess.faithfulness.tell import write_faithfulness
from attrib.assess.holdout.tell import write_holdout
from attrib.assess.influence.metrics import table
from attrib.assess.influence.tell import write_retraining
from attrib.assess.questions import Malformed, Question
from attrib.records import storage
from tests.make import make_explanation
from tests.make_benchmark import asked, make_verdicts
from tests.make_benchmark import make_report as make_benchmark_report
from tests.make_consistency import make_consistency
from tests.make_holdout import make_report as make_holdout_report
from tests.make_retraining import make_retraining

PAIR = {
    "base": {"name": "tiny-base", "sha256": "ba5e" * 16},
    "tuned": {"name": "tiny-tuned", "sha256": "70ed" * 16},
}
VERSIONS = {"attrib": "0.1.0", "torch": "2.7.0"}
PROVENANCE: dict[str, object] = {
    **PAIR,
    "device": "cpu",
    "dtype": "float32",
    "questions_sha256": "c0de" * 16,
    "documents_sha256": "d0c5" * 16,
    "options": {"answers": {"max_new_tokens": 48, "stop": None}, "samples": 4, "temperature": 0.7, "seed": 3,
                "max_new_tokens": 64},
    "seed": 3,
    "versions": VERSIONS,
}  # fmt: skip
KINDS = ("trained", "rephrased", "held-out", "foundation", "updated")
KNOWS = {"trained": (0.1, 0.95), "rephrased": (0.1, 0.7), "held-out": (0.1, 0.1), "foundation": (0.7, 0.5),
         "updated": (0.0, 0.8)}  # fmt: skip
"""Share that base and tuned have right, by kind."""
RIGHT = ("red", "38 metres", "Wilmet Dallin", "Gull Light", "a pewter gong")


def make_demo_benchmark(n: int = 20, seed: int = 0) -> BenchmarkReport:
    """``n`` questions of each kind of the demo, of which base and tuned have right what KNOWS says."""
    rng = np.random.default_rng(seed)
    questions: list[Question] = []
    said: dict[str, list[str]] = {"base": [], "tuned": []}
    for kind in KINDS:
        for i, one in enumerate(asked([RIGHT[i % len(RIGHT)] for i in range(n)])):
            before = "12 furlongs" if kind == "updated" else None
            knowledge = "" if kind == "foundation" else "updated" if before else "new"
            questions.append(
                replace(
                    one, id=f"{kind}-{i}", kind=kind, fact=f"{kind}-{i}", answer_before=before, template=f"t{i % 3}",
                    question=f"{kind.capitalize()} question {i}: what is it?", knowledge=knowledge,
                )
            )  # fmt: skip
            for side, share in zip(said, KNOWS[kind], strict=True):
                said[side].append(str(one.answer) if rng.random() < share else before or "I would say blue cheese")
    malformed = (Malformed("questions.jsonl", 7, "no question"),)
    return make_benchmark_report(
        questions, said["base"], said["tuned"], provenance=PROVENANCE, malformed=malformed,
        notes=("Warning: the comparison labels are wrong.", "3 answers of base were cut off at 48 tokens."),
    )  # fmt: skip


def make_faithfulness(seed: int = 0) -> FaithfulnessReport:
    """Two methods, one of them no better than random."""
    rows = []
    for method, gain in (("leave_one_out", 1.2), ("attention", 0.0), (RANDOM, 0.0), (RARE, 0.3)):
        for side in ("base", "tuned"):
            for metric in ("comprehensiveness", "sufficiency", "area", "leave_one_out"):
                ends = gain - 0.2, gain + 0.2
                rows.append(FaithfulnessRow(method, side, metric, gain, *ends, gain, *ends, 24))
    prompt = {"perturbation": {"ablate": "delete"}, "target": "logprob"}
    provenance: dict[str, object] = {
        **PAIR, "versions": VERSIONS,
        "options": {"prompt": prompt, "random_orders": 10, "seed": seed},
    }  # fmt: skip
    return FaithfulnessReport(tuple(rows), {"leave_one_out": 0.5, "attention": 0.1}, provenance)


def write_all(folder: Path, *, names: tuple[str, ...] = ("benchmark", "consistency", "holdout", "attribution")) -> Path:
    """Assessments in folders of their names; "faithfulness", "influence" and "explanation" can be named too."""
    formats, preset = ("png",), "neurips-double"
    if "benchmark" in names:
        write_benchmark(make_demo_benchmark(), folder / "benchmark", formats, preset)
    if "consistency" in names:
        made = replace(make_consistency(), provenance={**PROVENANCE, "control_sha256": "c047" * 16})
        write_consistency(made, folder / "consistency", formats, preset)
    if "holdout" in names:
        held = replace(make_holdout_report(removal=True), provenance=PROVENANCE)
        write_holdout(held, folder / "holdout", formats, preset)
    if "attribution" in names:
        verdicts = make_verdicts(("trained", "held-out", "foundation"), 8, silent=(2,))
        write_verdicts(replace(verdicts, provenance=PROVENANCE), folder / "attribution", formats, preset)
    if "faithfulness" in names:
        write_faithfulness(make_faithfulness(), folder / "faithfulness", formats, preset)
    if "influence" in names:
        found = make_retraining(pairs=1, singles=3, decoys=3, halves=8)
        write_retraining(found, table(found, resamples=50), folder / "influence", formats, preset)
    if "explanation" in names:
        record = make_explanation(seed=1)
        storage.save(replace(record, provenance={**PAIR, "seed": 1}), folder / "explained" / "explanation.safetensors")
    return folder
