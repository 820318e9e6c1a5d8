"""What every runner shares: the job that it reads, the meter, and the result that it writes.

A runner is one process for one measurement. It loads the model, runs it once on two tokens so that weights and
libraries are in memory, and only then starts the clock. Needs torch and numpy alone: peers' have no attrib.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

GEMM = (900, 576, 1536)
"""Rows, inner and outer width of the product whose rate is the floor's unit."""


@dataclass(frozen=True)
class Task:
    """One measurement, as the bench writes it down."""

    model: str
    """Folder of the model."""
    tuned: str
    """Adapter or folder of the second model of a pair; only ours needs one."""
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    method: str
    dtype: str
    threads: int
    steps: int
    tolerance: float
    out: str
    """Where the result goes, without suffix: .npz the scores, .json the figures."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Prompt and answer."""
        return self.prompt_ids + self.answer_ids


@dataclass(frozen=True, eq=False)
class Found:
    """What a tool gave back."""

    scores: np.ndarray
    """[row, position], or [row, prompt] where the tool scores the prompt alone."""
    gap: np.ndarray | None = None
    """Sum of a row − the change that it should explain, nats, [row]."""
    change: np.ndarray | None = None
    """The change itself, nats, [row]."""
    more: Mapping[str, object] = field(default_factory=dict)
    """Other figures, e.g. the steps that were used."""


def library(name: str) -> Any:
    """A module that only the runner's own environment has."""
    return importlib.import_module(name)


def serve(
    load: Callable[[Task], Any],
    warm: Callable[[Any, Task], None],
    attribute: Callable[[Any, Task], np.ndarray],
    check: Callable[[Any, Task, np.ndarray], Found],
) -> None:
    """Read the task named on the command line, measure ``attribute`` alone, write the result.

    ``check`` adds what the tool does not say itself, e.g. the completeness gap; its time does not count.
    """
    import torch

    raw = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    task = Task(**raw | {name: tuple(raw[name]) for name in ("prompt_ids", "answer_ids")})
    torch.set_num_threads(task.threads)
    tool = load(task)
    warm(tool, task)
    before = start_of_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    scores = attribute(tool, task)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = peak_mib()
    found = check(tool, task, scores)
    figures: dict[str, object] = {"cpu": cpu, "wall": wall, "peak_mib": peak, "above_model_mib": peak - before}
    figures |= gap_figures(found) | dict(found.more) | {"gflops": gemm_gflops(task.dtype)}
    np.savez(f"{task.out}.npz", scores=np.asarray(found.scores, np.float64))
    Path(f"{task.out}.json").write_text(json.dumps(figures), "utf-8")


def gap_figures(found: Found) -> dict[str, float]:
    """Median and largest |gap| over the rows in nats, and the median as a share of the change (of 1 nat if smaller)."""
    if found.gap is None:
        return {}
    gap = np.abs(found.gap)
    figures = {"gap": float(np.median(gap)), "gap_max": float(gap.max())}
    if found.change is not None:
        change = np.abs(found.change)
        figures |= {"change": float(np.median(change)), "gap_share": float(np.median(gap / np.maximum(1.0, change)))}
    return figures


def start_of_peak() -> float:
    """Forget earlier peaks where the system can (Linux), so that loading the model does not hide what comes after.

    Returns the memory held now, MiB.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return peak_mib()
    return _status_mib("VmRSS")


def peak_mib() -> float:
    """Largest resident memory so far, MiB."""
    try:
        # getrusage counts the memory of the parent that forked us too.
        return _status_mib("VmHWM")
    except OSError:
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest / (2**20 if sys.platform == "darwin" else 2**10)


def _status_mib(name: str) -> float:
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 2**10


def gemm_gflops(dtype: str, rounds: int = 5) -> float:
    """Best rate of a GEMM-shaped product in this process, 10⁹ operations a CPU second."""
    import torch

    rows, inner, outer = GEMM
    kind = getattr(torch, dtype)
    left, right = torch.randn(rows, inner).to(kind), torch.randn(inner, outer).to(kind)
    best = float("inf")
    with torch.no_grad():
        for _ in range(rounds + 1):
            start = time.process_time()
            for _ in range(10):
                left @ right
            best = min(best, (time.process_time() - start) / 10)
    return 2 * rows * inner * outer / best / 1e9


def load_network(task: Task, **options: Any) -> tuple[Any, Any]:
    """The bare model and its tokenizer, as a peer's documentation loads them."""
    transformers, torch = library("transformers"), library("torch")
    network = transformers.AutoModelForCausalLM.from_pretrained(
        task.model, dtype=getattr(torch, task.dtype), local_files_only=True, **options
    )
    return network.eval(), transformers.AutoTokenizer.from_pretrained(task.model, local_files_only=True)


def warm_network(network: Any, task: Task) -> None:
    """One forward of two tokens."""
    log_probs(network, task.ids[:1], task.ids[1:2])


def log_probs(network: Any, prefix: Sequence[int], answer: Sequence[int], given: Sequence[int] | None = None) -> Any:
    """log p of each answer token after ``prefix`` and the answer tokens before it, nats, [answer].

    ``given`` are read in place of those earlier answer tokens.
    """
    import torch

    n = len(answer)
    read = [*prefix, *(answer if given is None else given)][: len(prefix) + n - 1]
    with torch.no_grad():
        logits = network(torch.tensor([read])).logits[0, -n:].float()
    return logits.log_softmax(-1)[torch.arange(n), torch.tensor(list(answer))].double().numpy()


def completeness(network: Any, task: Task, scores: np.ndarray, baseline: int, *, prefix: bool) -> Found:
    """Scores of each answer token with what they should sum to: log p of the input − log p of the baseline.

    The baseline has the token ``baseline`` in place of the prompt and, with ``prefix``, of earlier answer tokens.
    """
    given = [baseline] * len(task.answer_ids) if prefix else None
    nothing = log_probs(network, [baseline] * len(task.prompt_ids), task.answer_ids, given)
    change = log_probs(network, task.prompt_ids, task.answer_ids) - nothing
    return Found(scores, scores.sum(1) - change, change)
