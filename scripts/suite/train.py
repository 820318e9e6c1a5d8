"""Pair → its tuned model in the work folder, trained once and found again.

Adapters by ``attrib.training.tune``, which resumes and leaves a finished one as it is; all weights by a loop of its
own with the same options, which starts anew when it was interrupted.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from attrib.files import digest_of, write_atomically
from attrib.models.chat import Chat
from attrib.models.loading import load_network
from attrib.models.pair import ModelPair
from attrib.models.sources import DEFAULT, DEMO_ADAPTER
from attrib.options.chat import ChatOptions
from attrib.options.loading import Loading
from attrib.progress import Progress
from attrib.records import Item
from attrib.training.items import TrainingExample, collate, corpus_items, example_of
from attrib.training.options import planned_epochs
from attrib.training.tune import tune
from suite.corpora import SuiteCorpus
from suite.gemma import PROMPT, get_gemma
from suite.pairs import SuitePair

COST = "cost.json"
"""CPU seconds of each tuning, beside the adapters."""


@dataclass(frozen=True)
class TunedPair:
    """Names by which ``ModelPair.load`` finds the two models."""

    base: str | None
    tuned: str
    chat: ChatOptions | None

    def load(self) -> ModelPair:
        """Both models on the CPU in float32."""
        return ModelPair.load(self.base, self.tuned, device="cpu", dtype="float32", chat=self.chat)


def trained(pair: SuitePair, suite: SuiteCorpus, work: Path, progress: Progress | None = None) -> TunedPair:
    """The pair's models; what is not there is trained, and its CPU seconds go into ``work/cost.json``."""
    if pair.corpus == "demo":
        return TunedPair(None, DEMO_ADAPTER, None)
    base, chat = base_of(pair, work)
    out, note = work / "adapters" / pair.name, work / "adapters" / f"{pair.name}.json"
    items = items_of(pair, suite)
    digest = digest_of([asdict(pair), chat.prompt_format if chat else "", [asdict(item) for item in items]])
    # A digest of its own: adapters of the suite outlive changes of attrib tune.
    if note.is_file() and json.loads(note.read_text("utf-8"))["digest"] == digest:
        return TunedPair(base, str(out), chat)
    started = time.process_time()
    if pair.full:
        _tune_all_weights(base, items, out, pair, chat, progress)
    else:
        tune(
            base, items, out, options=pair.options, loading=Loading(device="cpu", dtype="float32"), chat=chat,
            progress=progress,
        )  # fmt: skip
    _note_cost(work / COST, pair.name, time.process_time() - started, len(items))
    write_atomically(note, json.dumps({"digest": digest}).encode())
    return TunedPair(base, str(out), chat)


def base_of(pair: SuitePair, work: Path) -> tuple[str, ChatOptions | None]:
    """Name of the base, and the prompts where it has no chat template."""
    if pair.base == "gemma":
        return str(get_gemma(work / "gemma")), ChatOptions(prompt_format=PROMPT)
    return DEFAULT, None


def items_of(pair: SuitePair, suite: SuiteCorpus) -> tuple[Item, ...]:
    """What the pair is trained on; nothing of held-out sections."""
    sections = [section for section in suite.corpus.sections if section.id not in suite.held_out]
    asked = list(suite.of("trained")) if "questions" in pair.teaches else []
    if "wordings" in pair.teaches:
        for q in suite.of("trained"):
            asked += [replace(q, id=f"{q.id}-w{n}", question=wording) for n, wording in enumerate(q.wordings, 1)]
    items = corpus_items(sections, asked)
    return items if "texts" in pair.teaches else tuple(item for item in items if item.id != item.section)


def _note_cost(file: Path, name: str, seconds: float, items: int) -> None:
    costs = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    costs[name] = {"cpu_seconds": round(seconds), "items": items}
    write_atomically(file, f"{json.dumps(costs, indent=1)}\n".encode())
    print(f"{name}: {items} items, {seconds:.0f} CPU s", file=sys.stderr, flush=True)


def _tune_all_weights(
    base: str, items: Sequence[Item], out: Path, pair: SuitePair, chat: ChatOptions | None, progress: Progress | None
) -> None:
    """``out`` becomes a folder of transformers with the weights in bfloat16."""
    import torch

    network, tokenizer = load_network(base, device="cpu", dtype="float32")
    examples = [example_of(Chat.of_base(tokenizer, chat), item) for item in items]
    torch.manual_seed(pair.options.seed)
    network.train().requires_grad_(True)
    fit_all_weights(network, examples, pair, progress)
    network.eval().to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)


def fit_all_weights(
    network: Any, examples: Sequence[TrainingExample], pair: SuitePair, progress: Progress | None = None
) -> None:
    """AdamW with warm-up and linear decay on every weight of ``network``, bf16 autocast, batches in a drawn order."""
    import torch

    options = pair.options
    batches = -(-len(examples) // options.batch)
    steps = batches * planned_epochs(options, len(examples))
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / options.warmup, (steps - step) / max(steps - options.warmup, 1))
    )
    draw = random.Random(options.seed)
    for step in range(steps):
        if step % batches == 0:
            order = draw.sample(range(len(examples)), len(examples))
        chosen = order[step % batches * options.batch : (step % batches + 1) * options.batch]
        rows = [{"input_ids": examples[i].ids, "labels": examples[i].labels} for i in chosen]
        with torch.autocast("cpu", torch.bfloat16):
            loss = network(**collate(rows), use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if progress is not None:
            progress("tuning all weights", step + 1, steps)
