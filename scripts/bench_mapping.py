"""Cost of the index and of exact search, beside what they cannot do without, in the same run.

    python scripts/bench_mapping.py [--search] [--build] [--rows 10000,100000,1000000] [--repeats 3] [--json] [--quick]

--search: 64 synthetic unit vectors asked of 10⁴ to 10⁶ × 384 in fp16, in an index on disk whose pages are in memory,
beside the bare float32 product of the same tiles, once of float32 rows in memory and once of fp16 rows that it converts
first; and beside faiss, where it is installed (flat; HNSW up to --hnsw-rows, with its recall). --build: texts a second
into an index beside the bare encoder, and beside bare forward + backward. Without either, both. Each measurement is a
process of its own, so that its peak memory is its own; ours and the bare product take turns in it. CPU seconds are the
smallest of the repeats. What cannot be had is null, and a line on stderr says why. With --json the last line is one
object; exit status 1 if one of ours failed. Not covered: GPUs, and indexes that do not fit in memory.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from attrib.corpus.demo import DOCUMENTS
from attrib.corpus.documents import Corpus
from attrib.index.index import Encoder, Index, build
from attrib.index.search import TILE, faiss_index, top_k
from attrib.records import Section

# What measures memory is beside the peers, which run by themselves.
sys.path.insert(0, str(Path(__file__).parent / "peers"))

WIDTH = 384
ROWS = (10_000, 100_000, 1_000_000)
QUICK = (3_000,)
Figures = dict[str, float | None]
Report = dict[str, dict[str, Figures]]
"""Section → row of its table → figures."""


@dataclass(frozen=True)
class Problem:
    """What is measured."""

    queries: int = 64
    k: int = 10
    repeats: int = 3
    threads: int = 1
    hnsw_rows: int = 100_000
    texts: int = 512
    """How many texts --build encodes."""
    timeout: float = 3600.0


def main() -> None:
    arguments = _arguments()
    problem = Problem(
        arguments.queries, arguments.k, arguments.repeats, arguments.threads, arguments.hnsw_rows, arguments.texts
    )
    console = Console(stderr=arguments.json, width=None if sys.stderr.isatty() else 160)
    if arguments.one:
        print(json.dumps(MEASUREMENTS[arguments.one](problem, Path(arguments.folder), arguments.rows[0])))
        return
    report: Report = {}
    with tempfile.TemporaryDirectory(prefix="attrib-bench-", dir=arguments.folder) as folder:
        if arguments.search:
            if importlib.util.find_spec("faiss") is None:
                _say("faiss: left out, it is not installed (pip install faiss-cpu)")
            report["search"] = {str(n): search(problem, n, Path(folder)) for n in arguments.rows}
            console.print(search_table(report["search"], problem))
        if arguments.build:
            report["build"] = {name: measure(problem, f"build-{name}", Path(folder), 0) for name in ENCODERS}
            console.print(build_table(report["build"]))
    if arguments.json:
        print(json.dumps(report, allow_nan=False))
    sys.exit(int(failed(report)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--search", action="store_true", help="only this section")
    parser.add_argument("--build", action="store_true", help="only this section")
    parser.add_argument("--rows", default=",".join(map(str, ROWS)), help="how many vectors, comma-separated")
    parser.add_argument("--queries", type=int, default=64, help="how many at once (default 64)")
    parser.add_argument("--k", type=int, default=10, help="how many rows are wanted (default 10)")
    parser.add_argument("--hnsw-rows", type=int, default=100_000, help="no HNSW beyond (its build takes minutes)")
    parser.add_argument("--texts", type=int, default=512, help="how many --build encodes (default 512)")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is measured (default 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of everything (default 1)")
    parser.add_argument("--folder", help="where the indexes go meanwhile (default: the system's temporary folder)")
    parser.add_argument("--quick", action="store_true", help="few rows and texts, once: a test that all works")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--one", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    try:
        arguments.rows = tuple(int(n) for n in arguments.rows.split(","))
    except ValueError:
        parser.error(f"--rows {arguments.rows}: give whole numbers, separated by commas")
    for name in ("queries", "k", "texts", "repeats", "threads"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} {getattr(arguments, name)}: give 1 or more")
    if min(arguments.rows) < 0 or (min(arguments.rows) < 1 and not arguments.one):
        parser.error(f"--rows {min(arguments.rows)}: give 1 or more")
    if arguments.quick:
        arguments.rows, arguments.repeats, arguments.texts = QUICK, 1, min(arguments.texts, 8)
    if not arguments.search and not arguments.build:
        arguments.search = arguments.build = True
    return arguments


def measure(problem: Problem, name: str, folder: Path, rows: int) -> Figures:
    """One measurement in a process of its own; nothing where it failed, and a line says why."""
    options = ("queries", "k", "repeats", "threads", "hnsw_rows", "texts")
    flags = [part for one in options for part in (f"--{one.replace('_', '-')}", str(getattr(problem, one)))]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(problem.threads))
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    # As a module and from the root, so that it finds scripts.peers.
    command = [sys.executable, "-m", "scripts.bench_mapping", "--one", name, "--rows", str(rows), *flags]
    try:
        done = subprocess.run(
            [*command, "--folder", str(folder)], check=True, capture_output=True, text=True, timeout=problem.timeout,
            env=os.environ | threads | quiet, cwd=Path(__file__).parents[1],
        )  # fmt: skip
        figures: Figures = json.loads(done.stdout.splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
        _say(
            f"{name}, {rows:,} rows: failed ({_last_line(error)})" if rows else f"{name}: failed ({_last_line(error)})"
        )
        return {"ours": None}
    return figures


def failed(report: Report) -> bool:
    """Whether a measurement of ours failed; what is not there to be measured has no figure at all."""
    return any(row.get("ours", 0.0) is None for rows in report.values() for row in rows.values())


def _best(repeats: int, work: Callable[[], object]) -> tuple[float, float]:
    """Smallest CPU and wall seconds of the repeats."""
    cpu, wall = [], []
    for _ in range(repeats):
        start = time.process_time(), time.perf_counter()
        work()
        cpu.append(time.process_time() - start[0])
        wall.append(time.perf_counter() - start[1])
    return min(cpu), min(wall)


# ---------------------------------------------------------------------------------------------- search


@dataclass(frozen=True)
class Vectors:
    """An encoder whose vectors are noise of length 1; the text is the seed."""

    name: str = "embedding"
    key: str = "noise"

    @property
    def describe(self) -> Mapping[str, object]:
        """Plain settings."""
        return {"vectors": "noise", "width": WIDTH}

    def encode(self, texts: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """One vector a text, fp16."""
        return [{"vectors": unit_vectors(1, int(text)).astype(np.float16)} for text in texts]


def unit_vectors(n: int, seed: int) -> np.ndarray:
    """Noise of length 1, [n, WIDTH] float32."""
    rows = np.random.default_rng(seed).standard_normal((n, WIDTH), dtype=np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def search(problem: Problem, rows: int, folder: Path) -> Figures:
    """All figures for one number of rows."""
    figures = measure(problem, "index", folder, rows)
    if figures.get("ours", 0.0) is None:
        return figures
    figures |= measure(problem, "exact", folder, rows)
    kinds = ("flat", "hnsw") if rows <= problem.hnsw_rows else ("flat",)
    for kind in kinds if importlib.util.find_spec("faiss") else ():
        figures |= {name: value for name, value in measure(problem, kind, folder, rows).items() if name != "ours"}
    return figures


def _make_index(problem: Problem, folder: Path, rows: int) -> Figures:
    """The index that the others read."""
    sections = tuple(Section(f"{i:012x}", "noise", (), str(i), i + 1, i + 1) for i in range(rows))
    cpu, wall = _best(1, lambda: build(Corpus(sections, (("noise", "0"),)), [Vectors()], _place(folder, rows)))
    index = Index.open(_place(folder, rows))
    return {"index_cpu": cpu, "index_wall": wall, "bytes_per_text": index.bytes_per_text("embedding")}


def _place(folder: Path, rows: int) -> Path:
    return folder / f"index-{rows}"


def _exact(problem: Problem, folder: Path, rows: int) -> Figures:
    """Ours, its peak memory first; then in turn with the bare products."""
    import torch
    from measure import peak_mib, start_of_peak

    torch.set_num_threads(problem.threads)
    queries = unit_vectors(problem.queries, 10**9)
    # Libraries and their buffers are no part of a search.
    top_k(queries, [unit_vectors(TILE, 10**9 + 1)], problem.k)
    opened = time.perf_counter()
    index = Index.open(_place(folder, rows))
    opened = time.perf_counter() - opened
    size = index.parts["embedding"].bytes / 2**20
    for file in _place(folder, rows).rglob("vectors.npy"):
        file.read_bytes()

    def ours() -> tuple[np.ndarray, np.ndarray]:
        return top_k(queries, index.blocks("embedding", "vectors"), problem.k)

    before = start_of_peak()
    _, found = ours()
    beyond = peak_mib() - before
    half = np.concatenate([np.array(block) for block in index.blocks("embedding", "vectors")])
    full = half.astype(np.float32)
    agree = overlap(found, queries, full)
    jobs = {"ours": ours, "bare": bare(queries, full), "bare_fp16": bare(queries, half)}
    turns = [{name: _best(1, work) for name, work in jobs.items()} for _ in range(problem.repeats)]
    figures: Figures = {name: min(turn[name][0] for turn in turns) for name in jobs}
    figures |= {f"{name}_wall": min(turn[name][1] for turn in turns) for name in jobs}
    # Of the same turn, then the median: the machine's pace drifts.
    for name in ("bare", "bare_fp16"):
        figures[f"of_{name}"] = statistics.median(turn["ours"][0] / turn[name][0] for turn in turns)
    figures |= {"index_mib": size, "peak_above_start_mib": beyond, "peak_above_index_mib": max(0.0, beyond - size)}
    return figures | {"open_wall": opened, "agreement": agree, "threads": float(problem.threads)}


def bare(queries: np.ndarray, rows: np.ndarray) -> Callable[[], None]:
    """The product alone, tile by tile into the same memory; fp16 rows are made float32 first."""
    import torch

    left, right = torch.from_numpy(queries), torch.from_numpy(rows)
    tile, out = torch.empty(TILE, WIDTH), torch.empty(len(queries), TILE)

    def work() -> None:
        for first in range(0, len(right), TILE):
            part = right[first : first + TILE]
            if part.dtype != torch.float32:
                part = tile[: len(part)].copy_(part)
            torch.mm(left, part.T, out=out if len(part) == TILE else None)

    return work


def overlap(found: np.ndarray, queries: np.ndarray, rows: np.ndarray) -> float:
    """Share of ``found`` that is among the best rows by one float32 product, which may err in the last place."""
    k = found.shape[1]
    best = np.argpartition(-(queries @ rows.T), k - 1, axis=1)[:, :k]
    return sum(len(np.intersect1d(one, other)) for one, other in zip(found, best, strict=True)) / found.size


def _faiss(problem: Problem, folder: Path, rows: int, kind: Literal["flat", "hnsw"]) -> Figures:
    """Build and search time of faiss, HNSW as ``attrib.index.search`` makes it and with its recall."""
    import faiss
    from measure import peak_mib, start_of_peak

    faiss.omp_set_num_threads(problem.threads)
    queries = unit_vectors(problem.queries, 10**9)
    blocks = Index.open(_place(folder, rows)).blocks("embedding", "vectors")
    before, start = start_of_peak(), time.process_time()
    if kind == "flat":
        flat = faiss.IndexFlatIP(WIDTH)
        for block in blocks:
            flat.add(block.astype(np.float32))
        figures: Figures = {"faiss_flat_build": time.process_time() - start}
        cpu, wall = _best(problem.repeats, lambda: flat.search(queries, problem.k))
    else:
        index = faiss_index(blocks)
        figures = {"faiss_hnsw_build": time.process_time() - start}
        cpu, wall = _best(problem.repeats, lambda: index.search(queries, problem.k))
        figures["faiss_hnsw_recall"] = index.recall(queries, problem.k)
    return figures | {f"faiss_{kind}": cpu, f"faiss_{kind}_wall": wall, f"faiss_{kind}_mib": peak_mib() - before}


# ---------------------------------------------------------------------------------------------- build

Pair = tuple[Encoder, Callable[[Sequence[str]], object]]
"""An encoder, and what it cannot do without on the same texts."""


def embedding_pair() -> Pair:
    """The embedding encoder, and sentence-transformers' own encode of the same passages."""
    from attrib.index.encoders import EmbeddingEncoder
    from attrib.index.passages import passages

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


def _build(problem: Problem, folder: Path, name: str) -> Figures:
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
    encoder.encode(texts[:4])
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


MEASUREMENTS: dict[str, Callable[[Problem, Path, int], Figures]] = {
    "index": _make_index,
    "exact": _exact,
    "flat": lambda problem, folder, rows: _faiss(problem, folder, rows, "flat"),
    "hnsw": lambda problem, folder, rows: _faiss(problem, folder, rows, "hnsw"),
    "build-embedding": lambda problem, folder, rows: _build(problem, folder, "embedding"),
    "build-gradients": lambda problem, folder, rows: _build(problem, folder, "gradients"),
}
"""What one process can do: problem, folder, rows → figures."""


# ---------------------------------------------------------------------------------------------- tables


def search_table(found: Mapping[str, Figures], problem: Problem) -> Table:
    """One line a number of rows."""
    what = f"{problem.queries} queries × {WIDTH}, best {problem.k}, {problem.threads} thread(s)"
    table = Table(title=f"Exact search: CPU seconds, {what}")
    table.add_column("rows", no_wrap=True)
    for heading in (
        "ours", "bare fp32", "× of it", "bare from fp16", "× of it", "MiB above index", "bytes a section",
        "faiss flat", "HNSW", "its build", "its recall",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    digits = {
        "ours": 3, "bare": 3, "of_bare": 2, "bare_fp16": 3, "of_bare_fp16": 2, "peak_above_index_mib": 0,
        "bytes_per_text": 0, "faiss_flat": 3, "faiss_hnsw": 3, "faiss_hnsw_build": 1, "faiss_hnsw_recall": 3,
    }  # fmt: skip
    for rows, figures in found.items():
        table.add_row(f"{int(rows):,}", *(_figure(figures.get(name), n) for name, n in digits.items()))
    return table


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
