"""Cost and agreement of prompt attribution: ours beside Inseq, Captum and Interpreto, same model, prompt and answer.

    python scripts/bench_attribution.py [--json] [--methods A,B] [--tools A,B] [--repeats 3] [--growth] [--quick]

Each measurement is a process of its own (scripts/peers/run_*.py), so that its peak memory is its own; a repeat goes
through the methods and, for each, through the tools in turn. CPU seconds are the smallest of the repeats, the model
already loaded. Inseq and Interpreto get virtual environments of their own, made on first use in the user's cache (or
--envs DIR) with the torch and transformers of this one. A tool that cannot be had is null, and a line on stderr says
why. With --json the last line is one object, method → figures; exit status 1 if one of ours failed.
A full run with all peers takes over an hour a repeat on one core: choose --methods. Not covered: GPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import platformdirs
from filelock import FileLock
from rich.console import Console
from rich.table import Table
from safetensors import safe_open
from scipy.stats import rankdata

from attrib.models.bundled import get_default_model
from attrib.models.chat import Chat
from attrib.models.prompt import encode_answer, encode_prompt
from attrib.models.sources import DEMO_ADAPTER

RUNNERS = Path(__file__).resolve().parent / "peers"
QUESTION = (
    "Which planet of the solar system has the shortest year, how long does that year last in days, and what is the "
    "reason that it is so short?"
)
ANSWER = (
    "Mercury has the shortest year. It lasts about 88 Earth days, because the planet is the closest of all to the Sun "
    "and moves fastest."
)
PEERS = {"inseq": "inseq==0.7.1", "interpreto": "interpreto==0.5.2"}
"""Tools with an environment of their own, and what pip installs there."""
TOOLS = ("ours", "ours_bf16", "inseq", "captum", "interpreto")
DTYPES = {"ours_bf16": "bfloat16"}
ANSWERS = (8, 16, 32, 64, 128, 256)
"""Answer tokens of --growth."""
GROWING = ("input_x_gradient", "input_x_gradient_answer")
"""Methods of --growth."""
QUICK = ("input_x_gradient", "input_x_gradient_answer", "integrated_gradients", "leave_one_out", "attention")
"""Methods of --quick."""
STEPS, TOLERANCE = 20, 0.05
Figures = dict[str, float | None]
Cost = Literal["backward", "answer", "forward", "replacements"]


@dataclass(frozen=True)
class Method:
    """One row of the bench."""

    tools: tuple[str, ...]
    """Tools that are measured on it."""
    cost: Cost
    """Which count of operations is its floor."""
    path: bool = False
    """Whether that count is done once a step."""
    same: tuple[str, ...] = ()
    """Peers whose scores have the same definition, so that their numbers must be ours."""
    borrowed: Mapping[str, str] = field(default_factory=dict)
    """Tool → method whose measurement stands here too: the tool's cheapest way to these scores."""
    at_gap_of: tuple[str, str] | None = None
    """(method, tool) whose completeness gap is the tolerance."""
    once: bool = False
    """Minutes long: measured in the first repeat only."""


METHODS: dict[str, Method] = {
    "input_x_gradient": Method(TOOLS, "backward", same=("inseq", "captum")),
    "input_x_gradient_answer": Method(
        ("ours", "ours_bf16"),
        "answer",
        same=("inseq", "captum"),
        borrowed=dict.fromkeys(("inseq", "captum", "interpreto"), "input_x_gradient"),
    ),
    "integrated_gradients_prefix": Method(("ours", "inseq"), "backward", path=True, same=("inseq",)),
    "integrated_gradients": Method(
        ("ours", "ours_bf16", "captum", "interpreto"),
        "backward",
        path=True,
        same=("captum",),
        borrowed={"inseq": "integrated_gradients_prefix"},
    ),
    "integrated_gradients_answer": Method(
        ("ours",),
        "answer",
        path=True,
        same=("captum",),
        borrowed=dict.fromkeys(("captum", "interpreto"), "integrated_gradients"),
    ),
    # The same number of steps, placed by our own rule.
    "integrated_gradients_guided": Method(
        ("ours",),
        "backward",
        path=True,
        borrowed=dict.fromkeys(("captum", "interpreto"), "integrated_gradients"),
    ),
    "integrated_gradients_prefix_guided": Method(
        ("ours",), "backward", path=True, borrowed={"inseq": "integrated_gradients_prefix"}
    ),
    "integrated_gradients_adaptive": Method(
        ("ours",),
        "backward",
        path=True,
        borrowed=dict.fromkeys(("captum", "interpreto"), "integrated_gradients"),
        at_gap_of=("integrated_gradients", "captum"),
    ),
    "integrated_gradients_prefix_adaptive": Method(
        ("ours",),
        "backward",
        path=True,
        borrowed={"inseq": "integrated_gradients_prefix"},
        at_gap_of=("integrated_gradients_prefix", "inseq"),
    ),
    "leave_one_out": Method(("ours", "captum", "interpreto"), "replacements", same=("captum", "interpreto")),
    # Captum's default way, with its cache off: the same scores, one forward an answer token.
    "leave_one_out_by_token": Method(
        ("captum",), "replacements", same=("captum",), borrowed={"ours": "leave_one_out"}, once=True
    ),
    "attention": Method(("ours", "inseq"), "forward", same=("inseq",)),
    "relevance": Method(("ours", "ours_bf16"), "backward"),
    "information_flow": Method(("ours", "ours_bf16"), "forward"),
}


@dataclass(frozen=True)
class Problem:
    """What is measured: model, ids, size of the integration."""

    model: str
    tuned: str
    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    threads: int = 1
    steps: int = STEPS
    timeout: float = 3600.0
    """Seconds after which one measurement is given up."""


@dataclass(frozen=True)
class Sizes:
    """What the count of operations depends on."""

    prompt: int
    answer: int
    trunk: int
    """Weights of the blocks' matrices."""
    width: int
    vocabulary: int


@dataclass(frozen=True)
class Measured:
    """All repeats of one tool on one method."""

    figures: tuple[Figures, ...]
    scores: Path | None = None
    """Of the last repeat, .npz."""

    def best(self, name: str, choose: Callable[[Sequence[float]], float] = min) -> float | None:
        """The smallest (or ``choose``) of the repeats; None where the tool does not say it."""
        values = [value for figures in self.figures if (value := figures.get(name)) is not None]
        return choose(values) if values else None


Results = dict[tuple[str, str], Measured]
"""By (method, tool)."""
Report = dict[str, Figures]
"""Method → figures."""


def main() -> None:
    arguments = _arguments()
    problem, console = _problem(arguments), Console(stderr=arguments.json, width=None if sys.stderr.isatty() else 180)
    with tempfile.TemporaryDirectory(prefix="attrib-bench-") as folder:
        if arguments.growth:
            by_size = growth(problem, arguments.answers, arguments.repeats, Path(folder))
            console.print(growth_table(by_size))
            failed = any(row["ours"] is None for rows in by_size.values() for row in rows.values())
            answer = json.dumps(by_size, allow_nan=False)
        else:
            pythons = find_pythons(arguments.tools, arguments.methods, arguments.envs)
            results = measure_all(problem, arguments.methods, pythons, arguments.repeats, Path(folder))
            found = report(arguments.methods, arguments.tools, results, sizes(problem))
            console.print(as_table(found, arguments.tools))
            failed = any(row.get("ours", 0.0) is None for row in found.values())
            answer = json.dumps(found, allow_nan=False)
    if arguments.json:
        print(answer)
    # A measurement of ours that failed is a failure; a peer that is missing is not.
    sys.exit(int(failed))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", help=f"comma-separated, of: {', '.join(METHODS)} (default: all)")
    parser.add_argument("--tools", help=f"comma-separated, of: {', '.join(TOOLS)} (default: all)")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is measured (default 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of every tool (default 1)")
    parser.add_argument("--steps", type=int, help=f"points of integrated gradients (default {STEPS})")
    parser.add_argument("--question", default=QUESTION, help="question in the model's chat template")
    parser.add_argument("--answer", default=ANSWER, help="forced answer")
    parser.add_argument("--answer-tokens", type=int, help="keep so many of the answer's tokens")
    parser.add_argument("--model", help="folder of a model (default: the bundled one)")
    parser.add_argument("--growth", action="store_true", help="ours alone, with 8 to 256 answer tokens")
    parser.add_argument("--quick", action="store_true", help="a few tokens and steps, once: a test that all works")
    parser.add_argument("--envs", type=Path, default=Path(platformdirs.user_cache_dir("attrib")) / "bench")
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds for one measurement (default 3600)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    if arguments.quick and not arguments.methods:
        arguments.methods = ",".join(QUICK)
    for name, known in (("methods", tuple(METHODS)), ("tools", TOOLS)):
        given = getattr(arguments, name)
        chosen = tuple(given.split(",")) if given else known
        if unknown := set(chosen) - set(known):
            parser.error(f"--{name}: {', '.join(sorted(unknown))} unknown; choose from {', '.join(known)}")
        # In the table's order, whatever the order given: gaps of peers are needed before the adaptive rows.
        setattr(arguments, name, tuple(one for one in known if one in chosen))
    for name in ("repeats", "threads", "steps", "answer_tokens"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} {value}: give 1 or more")
    arguments.answers = ANSWERS
    if arguments.quick:
        arguments.repeats, arguments.answers = 1, ANSWERS[:1]
        arguments.question = "Which planet is hot?" if arguments.question == QUESTION else arguments.question
        arguments.answer_tokens, arguments.steps = arguments.answer_tokens or 3, arguments.steps or 2
    arguments.steps = arguments.steps or STEPS
    return arguments


def _problem(arguments: argparse.Namespace) -> Problem:
    """The question and the answer as ids."""
    from transformers import AutoTokenizer

    model = Path(arguments.model).resolve() if arguments.model else get_default_model()
    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    prompt = encode_prompt(Chat(tokenizer), arguments.question, context=8192)
    answer = encode_answer(Chat(tokenizer), arguments.question, prompt, arguments.answer)[: arguments.answer_tokens]
    # A pair needs a tuned side; what is measured is the base, with the adapter switched off.
    tuned = str(model) if arguments.model else DEMO_ADAPTER
    print(f"{len(prompt)} prompt tokens, {len(answer)} answer tokens, {arguments.threads} thread(s)", file=sys.stderr)
    return Problem(str(model), tuned, prompt, answer, arguments.threads, arguments.steps, arguments.timeout)


def sizes(problem: Problem) -> Sizes:
    """Counts from the headers of the model's weight files; nothing is loaded."""
    trunk, width, vocabulary = 0, 0, 0
    for file in sorted(Path(problem.model).glob("*.safetensors")):
        with safe_open(file, "np") as weights:
            for name in weights.keys():  # noqa: SIM118
                shape = weights.get_slice(name).get_shape()
                if "embed_tokens" in name or "wte" in name:
                    vocabulary, width = shape
                elif len(shape) == 2 and "lm_head" not in name and "wpe" not in name:
                    trunk += shape[0] * shape[1]
    return Sizes(len(problem.prompt_ids), len(problem.answer_ids), trunk, width, vocabulary)


def operations(cost: Cost, size: Sizes, points: int = 1) -> float:
    """Operations that a method cannot do without, with N weights in the trunk, P prompt and T answer tokens.

    Forward: 2 N (P + T − 1), for the last answer token need not be read. Backward through the activations alone: 2 N a
    position, and token t reaches the P + t positions before it, so 2 N Σ_t (P + t) for all tokens and 2 N (P + T − 1)
    for the whole answer. Head: 2 · width · vocabulary a row of logits, and as much for its gradient. Path methods do
    all of this ``points`` times. Token i replaced: the positions before i stay as they were, so 2 N Σ_i (P + T − 1 − i)
    beside one forward, and P + 1 times the head. Attention's own products, norms and softmax are left out, so the floor
    is a little low.
    """
    p, t = size.prompt, size.answer
    read = p + t - 1
    one, head = 2.0 * size.trunk, 2.0 * size.width * size.vocabulary * t
    if cost == "backward":
        return points * (one * read + one * sum(p + i for i in range(t)) + 2 * head)
    if cost == "answer":
        return points * (2 * one * read + 2 * head)
    if cost == "forward":
        return one * read
    return one * (read + sum(read - i for i in range(p))) + (p + 1) * head


def find_pythons(tools: Sequence[str], methods: Sequence[str], envs: Path) -> dict[str, str]:
    """The interpreter of each tool that can be had, where a chosen method needs it."""
    needed = {tool for name in methods for tool in (*METHODS[name].tools, *METHODS[name].borrowed)}
    pythons = {}
    for tool in tools:
        if tool not in needed:
            continue
        if tool not in PEERS:
            pythons[tool] = sys.executable
            continue
        try:
            pythons[tool] = str(make_environment(PEERS[tool], envs / tool))
        except (OSError, subprocess.CalledProcessError) as error:
            _say(f"{tool}: left out, its environment cannot be made in {envs / tool} ({_last_line(error)})")
    return pythons


def make_environment(requirement: str, folder: Path) -> Path:
    """A virtual environment with ``requirement`` and this one's torch and transformers; its interpreter.

    Made once: a file names what was installed. Raises CalledProcessError when pip fails, OSError when the folder cannot
    be written.
    """
    torch, transformers = f"torch=={version('torch').split('+')[0]}", f"transformers=={version('transformers')}"
    wanted = " ".join((requirement, torch, transformers))
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "installed.txt"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if python.exists() and stamp.exists() and stamp.read_text("utf-8") == wanted:
            return python
        _say(f"making an environment with {wanted} in {folder} (minutes)")
        _call([sys.executable, "-m", "venv", "--clear", str(folder)])
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _call([*install, requirement, torch, transformers])
        stamp.write_text(wanted, "utf-8")
    return python


def _call(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


def turns(methods: Sequence[str], tools: Sequence[str], repeats: int) -> Iterator[tuple[int, str, str]]:
    """(repeat, method, tool) in the order of measuring; methods whose figures are borrowed come once."""
    wanted = [(name, tool) for name in methods for tool in (*METHODS[name].tools, *METHODS[name].borrowed)]
    pairs = dict.fromkeys((METHODS[name].borrowed.get(tool, name), tool) for name, tool in wanted if tool in tools)
    order = sorted(pairs, key=lambda pair: (list(METHODS).index(pair[0]), TOOLS.index(pair[1])))
    for repeat in range(repeats):
        for name, tool in order:
            if repeat == 0 or not METHODS[name].once:
                yield repeat, name, tool


def measure_all(
    problem: Problem, methods: Sequence[str], pythons: Mapping[str, str], repeats: int, folder: Path
) -> Results:
    """Every turn in a process of its own; a tool that fails on a method is not tried again on it."""
    results: Results = {}
    for repeat, name, tool in turns(methods, tuple(pythons), repeats):
        before = results.get((name, tool), Measured(()))
        if repeat and not before.figures:
            continue
        out = folder / f"{tool}-{name}"
        try:
            figures = measure(problem, name, tool, pythons[tool], tolerance_of(name, results), out)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            _say(f"{name}, {tool}: failed ({_last_line(error)})")
            continue
        results[name, tool] = Measured((*before.figures, figures), out.with_suffix(".npz"))
        _say(f"{repeat + 1}/{repeats} {name}, {tool}: {figures['cpu']:.2f} CPU s, {figures['peak_mib']:.0f} MiB")
    return results


def measure(problem: Problem, method: str, tool: str, python: str, tolerance: float, out: Path) -> Figures:
    """One measurement; its figures. Raises SubprocessError when the runner fails or takes too long."""
    task = {name: value for name, value in asdict(problem).items() if name != "timeout"}
    task |= {"method": method, "dtype": DTYPES.get(tool, "float32"), "tolerance": tolerance, "out": str(out)}
    file = out.with_suffix(".task.json")
    file.write_text(json.dumps(task), "utf-8")
    runner = RUNNERS / f"run_{tool.removesuffix('_bf16')}.py"
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(problem.threads))
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    command = [python, str(runner), str(file)]
    environment = os.environ | threads | quiet
    subprocess.run(
        command, check=True, capture_output=True, text=True, encoding="utf-8", errors="replace",
        timeout=problem.timeout, env=environment,
    )  # fmt: skip
    figures: Figures = json.loads(out.with_suffix(".json").read_text("utf-8"))
    return figures


def tolerance_of(method: str, results: Results) -> float:
    """The gap that the peer reached: its median as a share of the change (so our tolerance is read); else a default."""
    peer = METHODS[method].at_gap_of
    share = results[peer].best("gap_share") if peer in results else None
    return TOLERANCE if share is None else share


def report(methods: Sequence[str], tools: Sequence[str], results: Results, size: Sizes) -> Report:
    """Method → figures: the object that --json prints."""
    rates = {dtype: _rate(results, dtype) for dtype in ("float32", "bfloat16")}
    return {name: _row(name, tools, results, size, rates) for name in methods}


def _rate(results: Results, dtype: str) -> float | None:
    """Best GEMM rate that a process of ours measured beside its work, 10⁹ operations a second."""
    ours = [one for (_, tool), one in results.items() if tool.startswith("ours") and _dtype(tool) == dtype]
    rates = [rate for one in ours if (rate := one.best("gflops", max)) is not None]
    return max(rates, default=None)


def _dtype(tool: str) -> str:
    return DTYPES.get(tool, "float32")


def _row(name: str, tools: Sequence[str], results: Results, size: Sizes, rates: Mapping[str, float | None]) -> Figures:
    row: Figures = {}
    found = {tool: results.get((METHODS[name].borrowed.get(tool, name), tool)) for tool in tools}
    for tool in tools:
        figures = _tool_figures(tool, found[tool])
        # The gap of one token beside the gap of a whole answer would mislead.
        apart = METHODS[name].cost == "answer" and tool in METHODS[name].borrowed
        row |= {key: value for key, value in figures.items() if not (apart and key.startswith(f"{tool}_gap"))}
    row |= _floors(name, found, size, rates)
    ours = found.get("ours")
    for tool in tools:
        if tool != "ours":
            row |= _against(name, tool, ours, found[tool])
    if METHODS[name].at_gap_of is not None:
        row["tolerance"] = tolerance_of(name, results)
    return row | {"prompt": float(size.prompt), "answer": float(size.answer)}


def _tool_figures(tool: str, measured: Measured | None) -> Figures:
    """CPU seconds under the tool's own name, the rest behind it."""
    one = measured or Measured(())
    figures: Figures = {tool: one.best("cpu"), f"{tool}_wall": one.best("wall")}
    figures |= {f"{tool}_peak_mib": one.best("peak_mib"), f"{tool}_above_model_mib": one.best("above_model_mib")}
    if measured is None:
        return figures
    told = {f"{tool}_{what}": one.best(what) for what in ("gap", "gap_max", "gap_share", "change", "steps")}
    figures |= {what: value for what, value in told.items() if value is not None}
    return figures | {f"{tool}_repeats": float(len(one.figures))}


def _floors(name: str, found: Mapping[str, Measured | None], size: Sizes, rates: Mapping[str, float | None]) -> Figures:
    """Operations over the GEMM rate, CPU seconds, and which share of our time that is; for bf16 too if measured."""
    method, figures = METHODS[name], Figures()
    ours = found.get("ours")
    for tool, label in (("ours", "floor"), ("ours_bf16", "floor_bf16")):
        one, rate = found.get(tool) or ours, rates[_dtype(tool)]
        points = (one.best("steps") if one is not None else None) if method.path else 1.0
        if tool in found and tool in (*method.tools, *method.borrowed):
            known = rate is not None and points is not None
            floor = operations(method.cost, size, round(points or 0)) / ((rate or 1.0) * 1e9) if known else None
            cpu = one.best("cpu") if one is not None else None
            figures |= {label: floor, f"{tool}_of_floor": floor / cpu if floor is not None and cpu else None}
    return {"floor": None, "gflops": rates["float32"]} | figures


def _against(name: str, tool: str, ours: Measured | None, theirs: Measured | None) -> Figures:
    """How many times cheaper ours is, and how far the scores are ours."""
    mine, other = (one.best("cpu") if one is not None else None for one in (ours, theirs))
    figures: Figures = {f"cheaper_than_{tool}": other / mine if mine and other else None}
    if tool in METHODS[name].same:
        figures[f"agreement_{tool}"] = None
    if ours is None or theirs is None or ours.scores is None or theirs.scores is None:
        return figures
    a, b = comparable(_load(ours.scores), _load(theirs.scores))
    if tool == "interpreto" and tool not in METHODS[name].same:
        a = np.abs(a)
    if tool in METHODS[name].same:
        figures[f"agreement_{tool}"] = relative_error(a, b)
    return figures | {f"pearson_{tool}": correlation(a, b), f"spearman_{tool}": rank_correlation(a, b)}


def _load(file: Path) -> np.ndarray:
    with np.load(file) as arrays:
        return np.asarray(arrays["scores"])


def comparable(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both on the positions that both score, [row, position]; rows summed where one has the whole answer alone."""
    width = min(ours.shape[1], theirs.shape[1])
    if len(ours) != len(theirs):
        ours, theirs = ours.sum(0, keepdims=True), theirs.sum(0, keepdims=True)
    return ours[:, :width], theirs[:, :width]


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float | None:
    """Largest over the rows of ‖ours − theirs‖∞ / ‖theirs‖∞; None where a row of theirs is all zero."""
    scale = np.abs(theirs).max(1)
    return float((np.abs(ours - theirs).max(1) / scale).max()) if (scale > 0).all() else None


def correlation(ours: np.ndarray, theirs: np.ndarray) -> float | None:
    """Median over the rows of Pearson's r, over the positions that one of both scores; None where nothing varies."""
    return _by_row(ours, theirs, lambda values: values)


def rank_correlation(ours: np.ndarray, theirs: np.ndarray) -> float | None:
    """The same of Spearman's."""
    return _by_row(ours, theirs, rankdata)


def _by_row(ours: np.ndarray, theirs: np.ndarray, transform: Callable[[np.ndarray], np.ndarray]) -> float | None:
    found = []
    for a, b in zip(ours, theirs, strict=True):
        # Positions from the token on are 0 in both: they would make any two methods alike.
        scored = (a != 0) | (b != 0)
        x, y = transform(a[scored]), transform(b[scored])
        if len(x) > 1 and np.std(x) > 0 and np.std(y) > 0:
            found.append(float(np.corrcoef(x, y)[0, 1]))
    return statistics.median(found) if found else None


def growth(problem: Problem, answers: Sequence[int], repeats: int, folder: Path) -> dict[str, Report]:
    """Ours with ever longer answers (the given one over and over): method → answer tokens → figures."""
    found: dict[str, Report] = {name: {} for name in GROWING}
    for n in answers:
        ids = (problem.answer_ids * (n // len(problem.answer_ids) + 1))[:n]
        longer = replace(problem, answer_ids=ids)
        results = measure_all(longer, GROWING, {"ours": sys.executable}, repeats, folder)
        for name, row in report(GROWING, ("ours",), results, sizes(longer)).items():
            found[name][str(n)] = row
    return found


def growth_table(found: Mapping[str, Report]) -> Table:
    """One line a method and length."""
    table = Table("method", "answer tokens", "CPU s", "CPU s a token", "floor", "of it", "MiB above model")
    for name, rows in found.items():
        for n, row in rows.items():
            cpu = row["ours"]
            one = cpu / int(n) if cpu is not None else None
            costs = _figure(cpu, 2), _figure(one, 3), _figure(row["floor"], 2), _percent(row.get("ours_of_floor"))
            table.add_row(name, n, *costs, _figure(row["ours_above_model_mib"], 0))
    return table


def as_table(found: Report, tools: Sequence[str]) -> Table:
    """CPU seconds and memory above the model of each tool, the floor, gaps and agreement."""
    table = Table(title="CPU seconds (MiB above the loaded model)", caption=_CAPTION)
    table.add_column("method", no_wrap=True)
    for tool in tools:
        table.add_column(tool, justify="right")
    for heading in ("floor", "of it", "gap of each, nats", "agreement"):
        table.add_column(heading, justify="right")
    for name, row in found.items():
        cells = [_cell(name, tool, row) for tool in tools]
        gaps = " ".join(f"{tool} {_figure(row[f'{tool}_gap'], 2)}" for tool in tools if f"{tool}_gap" in row)
        alike = " ".join(f"{tool} {_agreement(row, tool)}" for tool in tools if f"spearman_{tool}" in row)
        table.add_row(
            name, *cells, _figure(row.get("floor"), 2), _percent(row.get("ours_of_floor")), gaps or "–", alike or "–"
        )
    return table


_CAPTION = (
    "* measured on another row: the tool's cheapest way to these scores. Agreement: largest relative error of a row "
    "where the definition is the same, else Spearman's ρ (median row)."
)


def _cell(name: str, tool: str, row: Figures) -> str:
    if row.get(tool) is None:
        return "–"
    mark = "*" if tool in METHODS[name].borrowed else ""
    return f"{_figure(row[tool], 2)}{mark} ({_figure(row[f'{tool}_above_model_mib'], 0)})"


def _agreement(row: Mapping[str, float | None], tool: str) -> str:
    error = row.get(f"agreement_{tool}")
    return f"{error:.0e}" if error is not None else f"ρ {_figure(row[f'spearman_{tool}'], 3)}"


def _figure(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _last_line(error: BaseException) -> str:
    """What a program that failed said last."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"not done after {error.timeout:.0f} s; give it more with --timeout"
    said = (error.stderr or error.stdout or "") if isinstance(error, subprocess.CalledProcessError) else str(error)
    lines = [line for line in str(said).splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else type(error).__name__


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
