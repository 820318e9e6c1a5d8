"""Influence of a run that ``attrib.Recorder`` recorded, and of the same run imported without it, against retraining.

    python scripts/evaluate_import.py FOLDER [--report figures/influence.json]

The retraining corpus of the demo is trained by a plain Trainer of transformers (its default sampler, a save an epoch, a
log every 5 steps) with the hyperparameters of ``attrib assess influence``. Its record and its import are scored as that
assessment's "influence, no threshold"; the retrains are those of the stored report, whose own scores stand beside.
Printed: MRR, Pearson's correlation and LDS of trained questions, with 95% bootstrap intervals over questions.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from attrib.assess.influence.metrics import REFERENCE, table
from attrib.assess.influence.options import TUNING
from attrib.assess.influence.records import InfluenceReport
from attrib.assess.questions import Question, read_questions
from attrib.assess.stored import read_report
from attrib.corpus import demo
from attrib.corpus.documents import Corpus
from attrib.index.gradients import read_gradients, trained_questions
from attrib.mapping.influence import score
from attrib.models.bundled import get_default_model
from attrib.models.chat import Chat
from attrib.models.loading import load_network
from attrib.models.pair import ModelPair
from attrib.models.prompt import encode_given
from attrib.options.explain import InfluenceOptions
from attrib.records import Item
from attrib.training.imported import import_run
from attrib.training.items import checked_example, collate, corpus_items
from attrib.training.recorder import Recorder


def train(base: str, items: tuple[Item, ...], folder: Path) -> None:
    """One run with a Recorder, and with the saves and the log that a Trainer leaves by itself."""
    from peft import LoraConfig, get_peft_model
    from transformers import Trainer, TrainingArguments, set_seed

    network, tokenizer = load_network(base, device="cpu")
    context = int(network.config.max_position_embeddings)
    examples = [checked_example(Chat(tokenizer), item, context) for item in items]
    set_seed(TUNING.seed)
    lora = LoraConfig(
        r=TUNING.rank, lora_alpha=TUNING.alpha, lora_dropout=TUNING.dropout, target_modules="all-linear",
        task_type="CAUSAL_LM",
    )  # fmt: skip
    arguments = TrainingArguments(
        output_dir=str(folder / "run"),
        num_train_epochs=TUNING.epochs,
        per_device_train_batch_size=TUNING.batch,
        learning_rate=TUNING.learning_rate,
        warmup_steps=TUNING.warmup,
        bf16=bool(TUNING.bf16),
        use_cpu=True,
        seed=TUNING.seed,
        save_strategy="epoch",
        logging_steps=5,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    trainer = Trainer(
        model=get_peft_model(network, lora),
        args=arguments,
        train_dataset=[{"input_ids": e.ids, "labels": e.labels} for e in examples],
        data_collator=collate,
        processing_class=tokenizer,
        callbacks=[Recorder(folder / "recorded", items)],
    )
    trainer.train()


def influence(pair: ModelPair, corpus: Corpus, question: Question, cache: Path) -> np.ndarray:
    """Score of every section for one question, as ``assess influence`` makes it without a threshold."""
    sections = dict(enumerate(corpus.sections))
    encoded = encode_given(pair.chat, question.question, question.answer or "", context=pair.context)
    gradients = read_gradients(
        pair, "tuned", encoded, sections, InfluenceOptions(threshold=0.0), trained=trained_questions(pair, corpus),
        cache=cache, whole=True,
    )  # fmt: skip
    return np.asarray(score(gradients, list(sections), [])[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, help="trained questions to score, the first ones")
    parser.add_argument("--report", type=Path, default=Path("figures/influence.json"))
    options = parser.parse_args()
    stored = read_report(InfluenceReport, options.report)
    corpus, asked, decoys = demo.retraining()
    assert tuple(section.id for section in corpus.sections) == stored.sections
    questions = read_questions(asked)
    base = str(get_default_model())
    items = corpus_items(
        [section for section in corpus.sections if section.id not in decoys],
        [question for question in questions if (question.kind or "trained") == "trained"],
    )
    recorded, imported, blind = (options.folder / name for name in ("recorded", "imported", "imported-no-seed"))
    if not recorded.exists():
        train(base, items, options.folder)
    for folder, seed in ((imported, TUNING.seed), (blind, None)):
        if not folder.exists():
            for sentence in import_run(options.folder / "run", items, folder, base=base, seed=seed).missing:
                print(f"{folder.name}: missing: {sentence}", flush=True)
    adapters = (recorded, imported)
    pairs = [ModelPair.load(base, adapter, device="cpu") for adapter in adapters]
    rows = [number for number, question in enumerate(stored.questions) if question.kind == "trained"][: options.limit]
    scores = {REFERENCE: stored.scores[f"{REFERENCE}, no threshold"]}
    scores |= {adapter.name: np.zeros_like(scores[REFERENCE]) for adapter in adapters}
    for done, number in enumerate(rows, 1):
        for adapter, pair in zip(adapters, pairs, strict=True):
            cache = options.folder / "cache"
            scores[adapter.name][number] = influence(pair, corpus, stored.questions[number], cache)
        print(f"{done} of {len(rows)} questions", file=sys.stderr, flush=True)
    kept = [row if number in rows else replace(row, kind="left out") for number, row in enumerate(stored.questions)]
    for row in table(replace(stored, questions=tuple(kept), scores=scores)):
        if row.metric in ("MRR", "recall@1", "pearson", "spearman", "LDS"):
            print(
                f"{row.metric:9} {row.scorer:10} {row.value:.3f} [{row.low:.3f}, {row.high:.3f}]  "
                f"behind the stored by {row.behind:+.3f} [{row.behind_low:+.3f}, {row.behind_high:+.3f}]  n {row.n}"
            )
    one, other = (scores[adapter.name][rows].ravel() for adapter in adapters)
    print(f"recorded against imported: r {np.corrcoef(one, other)[0, 1]:.4f} over {len(one)} pairs")


if __name__ == "__main__":
    main()
