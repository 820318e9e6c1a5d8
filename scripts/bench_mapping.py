"""Cost of building an index, beside what it cannot do without, in the same run.

    python scripts/bench_mapping.py [--texts 512] [--repeats 3] [--threads 1] [--json] [--quick]

Texts a second into an index beside the bare encoder, and beside bare forward + backward. Each encoder is measured in a
process of its own, so that its peak memory is its own; ours and the bare one take turns in it. CPU seconds are the
smallest of the repeats. What cannot be had is null, and a line on stderr says why. With --json the last line is one
object; exit status 1 if one of ours failed. Not covered: GPUs, and the search of an index.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from attrib.corpus.demo import DOCUMENTS
from attrib.corpus.documents import Corpus
from attrib.index.build import build
from attrib.index.encoder import Encoder
from attrib.index.index import Index

# What measures memory is beside the peers, which run by themselves.
sys.path.insert(0, str(Path(__file__).parent / "peers"))

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Problem:
    """What is measured."""

    texts: int = 512
    repeats: int = 3
    threads: int = 1
    timeout: float = 3600.0


def main() -> None:
    arguments = _arguments()
    problem = Problem(arguments.texts, arguments.repeats, arguments.threads)
    if arguments.one:
        print(json.dumps(build_cost(problem, Path(arguments.folder), arguments.one)))
        return
    console = Console(stderr=arguments.json, width=None if sys.stderr.isatty() else 160)
    with tempfile.TemporaryDirectory(prefix="attrib-bench-", dir=arguments.folder) as folder:
        found = {name: measure(problem, name, Path(folder)) for name in ENCODERS}
    console.print(build_table(found))
    if arguments.json:
        print(json.dumps({"build": found}, allow_nan=False))
    sys.exit(int(failed(found)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=512, help="texts to encode (default 512)")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is measured (default 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of everything (default 1)")
    parser.add_argument("--folder", help="where the indexes go meanwhile (default: the system's temporary folder)")
    parser.add_argument("--quick", action="store_true", help="few texts, once: a test that all works")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--one", choices=ENCODERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    for name in ("texts", "repeats", "threads"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} {getattr(arguments, name)}: give 1 or more")
    if arguments.quick:
        arguments.repeats, arguments.texts = 1, min(arguments.texts, 8)
    return arguments


def measure(problem: Problem, name: str, folder: Path) -> Figures:
    """One encoder in a process of its own; null where it failed, and a line says why."""
    flags = [part for one in ("texts", "repeats", "threads") for part in (f"--{one}", str(getattr(problem, one)))]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(problem.threads))
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    # As a module and from the root, so that it finds scripts.peers.
    command = [sys.executable, "-m", "scripts.bench_mapping", "--one", name, "--folder", str(folder), *flags]
    try:
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=problem.timeout,
            env=os.environ | threads | quiet, cwd=Path(__file__).parents[1],
        )  # fmt: skip
        figures: Figures = json.loads(done.stdout.splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
        _say(f"{name}: failed ({_last_line(error)})")
        return {"ours": None}
    return figures


def failed(found: Mapping[str, Figures]) -> bool:
    """Whether a measurement of ours failed; what is not there to be measured has no figure at all."""
    return any(row.get("ours", 0.0) is None for row in found.values())


def _best(repeats: int, work: Callable[[], object]) -> tuple[float, float]:
    """Smallest CPU and wall seconds of the repeats."""
    cpu, wall = [], []
    for _ in range(repeats):
        start = time.process_time(), time.perf_counter()
        work()
        cpu.append(time.process_time() - start[0])
        wall.append(time.perf_counter() - start[1])
    return min(cpu), min(wall)


Pair = tuple[Encoder, Callable[[Sequence[str]], object]]
"""An encoder, and what it cannot do without on the same texts."""


def embedding_pair() -> Pair:
    """The embedding encoder, and sentence-transformers' own encode of the same passages."""
    from attrib.index.embeddings import EmbeddingEncoder, passages

    encoder = EmbeddingEncoder()

    def bare_encode(texts: Sequence[str]) -> object:
        pieces = [text[start:end] for text in texts for start, end in passages(text)]
        return encoder.embedder.encode(pieces, batch_size=32, normalize_embeddings=True, show_progress_bar=False)

    return encoder, bare_encode


def gradient_pair() -> Pair:
    """The gradient encoder, and forward + backward of the tuned model into its adapter, a text at a time."""
    from peft import PeftModel

    from attrib.index.gradients import GradientEncoder, stages
    from attrib.models.loading import load_network
    from attrib.models.pair import ModelPair
    from attrib.options.explain import InfluenceOptions

    pair = ModelPair.load(device="cpu")
    (stage,) = stages(pair, "tuned", InfluenceOptions(checkpoints="final"))
    network, tokenizer = load_network(pair.base.name, device="cpu")
    assert pair.tuned.folder is not None
    bare = PeftModel.from_pretrained(network, str(pair.tuned.folder), is_trainable=True)
    bare.eval()
    return (
        GradientEncoder(pair, stage, InfluenceOptions().gradients),
        lambda texts: bare_gradients(bare, tokenizer, texts),
    )


def bare_gradients(model: Any, tokenizer: Any, texts: Sequence[str]) -> None:
    """Loss of each text by itself and its gradient in every parameter that asks for one; nothing is kept."""
    for text in texts:
        ids = tokenizer(text, return_tensors="pt").input_ids
        model(input_ids=ids, labels=ids).loss.backward()
        model.zero_grad(set_to_none=True)


ENCODERS: dict[str, Callable[[], Pair]] = {"embedding": embedding_pair, "gradients": gradient_pair}


def texts_like_the_demos(n: int) -> list[str]:
    """``n`` different texts of the demo's lengths."""
    texts = [section.full_text for section in Corpus.read(DOCUMENTS).sections]
    return [f"{texts[i % len(texts)]} ({i})" for i in range(n)]


def build_cost(problem: Problem, folder: Path, name: str) -> Figures:
    """Texts a second of ``build`` and of the bare encoder, in turn, and what the index takes."""
    import torch
    from measure import peak_mib, start_of_peak

    torch.set_num_threads(problem.threads)
    try:
        encoder, bare_encode = ENCODERS[name]()
    except NotImplementedError as error:
        _say(f"{name}: left out ({error})")
        return {}
    texts = texts_like_the_demos(problem.texts)
    corpus = Corpus.from_texts(texts)
    bare_encode(texts[:4])
    encoder.encode(corpus.sections[:4])
    before = start_of_peak()
    ours, theirs = [], []
    for turn in range(problem.repeats):
        out = folder / f"{name}-{turn}"
        ours.append(_best(1, lambda out=out: build(corpus, [encoder], out)))  # type: ignore[misc]
        peak = peak_mib() - before
        theirs.append(_best(1, lambda: bare_encode(texts)))
    (cpu, wall), (bare_cpu, bare_wall) = min(ours), min(theirs)
    index = Index.open(folder / f"{name}-0")
    return {
        "ours": cpu,
        "ours_wall": wall,
        "bare": bare_cpu,
        "bare_wall": bare_wall,
        "rate_of_bare": bare_cpu / cpu,
        "texts_a_second": problem.texts / cpu,
        "texts": float(problem.texts),
        "bytes_per_text": index.bytes_per_text(encoder.name),
        "peak_above_model_mib": peak,
    }


def build_table(found: Mapping[str, Figures]) -> Table:
    """One line an encoder."""
    table = Table(title="Building: CPU seconds")
    table.add_column("encoder", no_wrap=True)
    for heading in ("ours", "bare", "rate of bare", "texts a second", "bytes a section", "MiB above model"):
        table.add_column(heading, justify="right")
    digits = {
        "ours": 2, "bare": 2, "rate_of_bare": 2, "texts_a_second": 1, "bytes_per_text": 0, "peak_above_model_mib": 0,
    }  # fmt: skip
    for name, figures in found.items():
        table.add_row(name, *(_figure(figures.get(key), n) for key, n in digits.items()))
    return table


def _figure(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _last_line(error: BaseException) -> str:
    """What a program that failed said last."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"not done after {error.timeout:.0f} s"
    said = (error.stderr or error.stdout or "") if isinstance(error, subprocess.CalledProcessError) else str(error)
    lines = [line for line in str(said).splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else type(error).__name__


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
