"""Cost of batched answers beside one prompt at a time and beside transformers' own generate, in the same run.

    python scripts/bench_generate.py [--questions 32] [--batch 16] [--max-new-tokens 48] [--threads 2] [--repeats 1]
        [--base BASE --tuned TUNED --file QUESTIONS] [--device cpu] [--dtype auto] [--json]

Greedy answers of base and tuned to the first questions of the demo (or of --file). Ours: in batches, and one at a
time; they must be the same token for token (float32), which is counted. transformers: left-padded batches of the same
size and order, on the same network with our hooks, and for base on one that no hook ever touched, with its default
attention and with the eager one that ours uses. Wall seconds, the smallest of the repeats; peak memory of the whole
process. Exit status 1 if an answer differs in float32 or float64.
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from attrib.assess.questions import Question, demo_questions, read_questions
from attrib.models.loading import load_network
from attrib.models.pair import Model, ModelPair
from attrib.models.prompt import encode_prompt, strip_end
from attrib.models.sources import DEFAULT
from attrib.passes.generate import generate_batch

Ids = tuple[int, ...]


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    pair = ModelPair.load(arguments.base, arguments.tuned, device=arguments.device, dtype=arguments.dtype)
    asked: Sequence[Question] = demo_questions() if arguments.file is None else read_questions(arguments.file)
    prompts = [encode_prompt(pair.chat, q.question, context=pair.context) for q in asked[: arguments.questions]]
    report: dict[str, Any] = {
        "questions": len(prompts),
        "batch": arguments.batch,
        "max_new_tokens": arguments.max_new_tokens,
        "threads": arguments.threads,
        "device": pair.device,
        "dtype": pair.dtype,
        "sides": {},
    }
    for side, model in (("base", pair.base), ("tuned", pair.tuned)):
        bare = _bare(arguments.base or DEFAULT, pair) if side == "base" else {}
        report["sides"][side] = _measure(model, bare, prompts, arguments)
        for line in _lines(side, report["sides"][side]):
            print(line, file=sys.stderr if arguments.json else sys.stdout, flush=True)
    # Kibibytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    report["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    if arguments.json:
        print(json.dumps(report))
    exact = pair.dtype in ("float32", "float64")
    sys.exit(int(exact and any(found["differ"] for found in report["sides"].values())))


def _measure(
    model: Model, bare: dict[str, Any], prompts: Sequence[Ids], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Seconds of each way and how many answers differ from those one at a time."""
    n, batch = arguments.max_new_tokens, arguments.batch

    def ours(size: int) -> list[Ids]:
        return [some[0].ids for some in generate_batch(model, prompts, max_new_tokens=n, batch=size)]

    def theirs(network: Any) -> list[Ids]:
        return _transformers(model, network, prompts, n, batch)

    def hooked() -> list[Ids]:
        with model.active() as bridge:
            return theirs(bridge.original_model)

    ways: dict[str, Callable[[], list[Ids]]] = {
        "batched": lambda: ours(batch), "one_by_one": lambda: ours(1), "transformers_hooked": hooked,
    }  # fmt: skip
    ways |= {f"transformers_{name}": partial(theirs, network) for name, network in bare.items()}
    seconds: dict[str, float] = {}
    answers: dict[str, list[Ids]] = {}
    for _ in range(arguments.repeats):
        # They take turns.
        for name, way in ways.items():
            start = time.perf_counter()
            answers[name] = way()
            if model.device.type == "cuda":
                torch.cuda.synchronize()
            seconds[name] = min(seconds.get(name, float("inf")), time.perf_counter() - start)
    alone = answers["one_by_one"]
    tokens = sum(len(ids) + 1 for ids in alone)
    return {
        "seconds": seconds,
        "tokens": tokens,
        "tokens_per_second": tokens / seconds["batched"],
        "speedup": seconds["one_by_one"] / seconds["batched"],
        "over_transformers": {
            name.removeprefix("transformers_"): seconds["batched"] / seconds[name]
            for name in seconds
            if name.startswith("transformers")
        },
        "differ": sum(a != b for a, b in zip(answers["batched"], alone, strict=True)),
        "differ_from_transformers": sum(
            a != b for a, b in zip(answers["batched"], answers["transformers_hooked"], strict=True)
        ),
    }


def _bare(base: str, pair: ModelPair) -> dict[str, Any]:
    """The same base without a bridge, by attention."""
    networks = {"eager": load_network(base, device=pair.device, dtype=pair.dtype)[0].eval()}
    networks["default"] = copy.deepcopy(networks["eager"])
    try:
        networks["default"].set_attn_implementation("sdpa")
    except ValueError:
        del networks["default"]
    return networks


def _transformers(model: Model, network: Any, prompts: Sequence[Ids], n: int, batch: int) -> list[Ids]:
    """Greedy answers by transformers' generate, in our order of prompts."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    stop = network.generation_config.eos_token_id
    pad = stop[0] if isinstance(stop, list) else stop
    shipped = network.generation_config
    network.generation_config = GenerationConfig(
        max_new_tokens=n, do_sample=False, eos_token_id=stop, pad_token_id=pad
    )  # fmt: skip
    found: dict[int, Ids] = {}
    try:
        for first in range(0, len(order), batch):
            group = order[first : first + batch]
            width = max(len(prompts[i]) for i in group)
            ids = torch.tensor([[pad] * (width - len(prompts[i])) + list(prompts[i]) for i in group])
            mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in group])
            with torch.no_grad():
                out = network.generate(ids.to(model.device), attention_mask=mask.to(model.device))
            found |= {i: strip_end(model.tokenizer, row[width:].tolist()) for i, row in zip(group, out, strict=True)}
    finally:
        network.generation_config = shipped
    return [found[i] for i in range(len(prompts))]


def _lines(side: str, found: dict[str, Any]) -> list[str]:
    seconds = ", ".join(f"{name.replace('_', ' ')} {value:.1f} s" for name, value in found["seconds"].items())
    ratios = ", ".join(f"{name} {value:.2f}" for name, value in found["over_transformers"].items())
    return [
        f"{side}: {seconds}",
        f"  {found['speedup']:.1f} × as fast as one at a time, {found['tokens_per_second']:.0f} tokens/s; "
        f"time over transformers': {ratios}; {found['differ']} answers differ from one at a time, "
        f"{found['differ_from_transformers']} from transformers'",
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=32, help="how many, the first ones (default 32)")
    parser.add_argument("--batch", type=int, default=16, help="answers at a time (default 16)")
    parser.add_argument("--max-new-tokens", type=int, default=48, help="longest answer (default 48)")
    parser.add_argument("--threads", type=int, default=2, help="threads of everything (default 2)")
    parser.add_argument("--repeats", type=int, default=1, help="how often each is measured (default 1)")
    parser.add_argument("--base", help="hub id or folder (default: the bundled model)")
    parser.add_argument("--tuned", help="hub id, folder or adapter (default: the demo's)")
    parser.add_argument("--file", type=Path, help="questions of your own, JSONL or CSV")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    for name in ("questions", "batch", "max_new_tokens", "threads", "repeats"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} {getattr(arguments, name)}: give at least 1")
    return arguments


if __name__ == "__main__":
    main()
