"""Small random but valid records for tests: shapes and laws hold, the numbers mean nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from attrib.options.methods import Unit
from attrib.records import Attribution, Capture, Evidence, Explanation, Mapping, MappingSide, Section, Token, Verdict
from attrib.text.units import question_positions, units, words

ANSWER = (" The", " warranty", " on", " the", " pump", " is", " thirty", "-", "six", " months", ".")
QUESTION = (" How", " long", " is", " the", " warranty", " on", " the", " pump", "?")
ODD_TOKENS = ("$\\foo$", " _x_", "\n", "", " ", "水", " مرحبا", "🙂", "\t", "[red]x[/red]", "\\", "%d{}", " e\u0301")
"""Tokens that broke drawings elsewhere: mathtext, blank, empty, wide, right-to-left, emoji, markup, combining."""

PERTURBATION = ("leave_one_out", "contextcite", "shapley")
"""Methods whose columns are the question's words alone."""
PROMISING = ("integrated_gradients", "relevance", "shapley")
"""Methods with a gap."""
UNSIGNED = ("attention", "rollout", "value_norm", "information_flow", "saliency", "smoothgrad")
"""What the names of methods without a sign start with."""


def make_tokens(texts: Sequence[str], *, start: int = 0, special: Sequence[int] = ()) -> tuple[Token, ...]:
    """Tokens that lie one after the other; ``special`` are indices."""
    tokens: list[Token] = []
    for i, text in enumerate(texts):
        tokens.append(Token(id=100 + i, text=text, start=start, end=start + len(text), special=i in special))
        start += len(text)
    return tuple(tokens)


def make_sections(
    n: int, *, documents: int = 3, titles: Sequence[str] = (), texts: Sequence[str] = ()
) -> tuple[Section, ...]:
    """``n`` sections in document order over ``documents`` files; ``titles`` and ``texts`` replace the first ones."""
    sections: list[Section] = []
    for i in range(n):
        document = i * documents // max(n, 1)
        sections.append(
            Section(
                id=f"{i:012x}",
                document=f"manual-{document + 1}.md",
                titles=(
                    f"Manual {document + 1}",
                    titles[i] if i < len(titles) else f"{document + 1}.{i + 1} Part {i + 1}",
                ),
                text=texts[i] if i < len(texts) else f"Part {i + 1} is warranted for thirty-six months from first use.",
                first_line=10 * i + 1,
                last_line=10 * i + 8,
            )
        )
    return tuple(sections)


def make_side(
    rng: np.random.Generator, sections: Sequence[Section], answer: int, controls: int, scale: float
) -> MappingSide:
    """Random scores, planted high in some cells, where q is small too."""
    n, m = answer, len(sections)
    tokens = scale * rng.beta(2, 6, (n, m))
    planted = rng.random((n, m)) < 0.06
    tokens[planted] = scale * rng.uniform(0.7, 0.95, int(planted.sum()))
    control = scale * rng.beta(2, 6, (n, controls))
    ends = np.array([min(len(section.full_text), 24) for section in sections], int)
    spans = np.zeros((n, m, 2), int)
    spans[..., 0], spans[..., 1] = np.minimum(6, ends), ends
    return MappingSide(
        tokens=tokens,
        whole=tokens.sum(0) / max(n, 1),
        control=control,
        control_whole=control.sum(0) / max(n, 1),
        q=np.where(planted, 0.01, rng.uniform(0.1, 1, (n, m))),
        spans=spans,
    )


def make_capture(rng: np.random.Generator, answer: int, prompt: int) -> Capture:
    """Log-probs, ranks, entropies and a causal attention; no gradients or hidden states."""
    return Capture(
        logprob=-rng.exponential(2.0, answer),
        rank=rng.integers(0, 50, answer),
        entropy=rng.exponential(1.0, answer),
        attention=make_attention(rng, answer, prompt),
    )


def make_attention(rng: np.random.Generator, answer: int, prompt: int) -> np.ndarray:
    """[answer, position]; rows sum to 1 and are zero from the token on, with much of it on the first position."""
    weights = rng.gamma(0.6, 1.0, (answer, prompt + answer))
    weights[:, 0] += 4
    weights *= np.arange(prompt + answer) < prompt + np.arange(answer)[:, None]
    return weights / weights.sum(1, keepdims=True)


def make_verdict(rng: np.random.Generator, gain: np.ndarray, sections: int, controls: int) -> Verdict:
    """Random probabilities, leaning to documents where the gain is high."""
    lean = np.stack([np.exp(gain / 2), np.ones_like(gain), np.full_like(gain, 0.5)], 1)
    tokens = lean * rng.uniform(0.5, 1.5, lean.shape)
    tokens /= tokens.sum(1, keepdims=True)
    return Verdict(
        tokens=tokens,
        whole=tokens.mean(0) if len(gain) else np.full(3, 1 / 3),
        shares=tokens.mean(0) if len(gain) else np.full(3, 1 / 3),
        gain=gain,
        support=rng.random(len(gain)),
        learned=rng.random(sections),
        section_gain=rng.normal(2, 1, sections),
        control_gain=rng.normal(0, 0.3, controls),
        evidence=make_evidence(gain, sections, controls),
    )


def make_evidence(
    gain: np.ndarray,
    sections: int = 4,
    controls: int = 6,
    *,
    covered: Sequence[int] = (0,),
    learned: Sequence[int] = (0,),
    base_says: bool = False,
    logprob_base: float = -6.0,
) -> Evidence:
    """One word a token; the sections ``covered`` have every word, tuning taught those in ``learned``."""
    n = len(gain)
    has = np.isin(np.arange(sections), covered)
    taught = np.isin(np.arange(sections), learned)
    return Evidence(
        word_of_token=np.arange(n),
        word_idf=np.full(n, 3.0),
        novel=np.ones(n, bool),
        content=np.ones(n, bool),
        base_says=np.full(n, base_says),
        passage_of=np.arange(sections),
        covered=np.tile(has, (n, 1)),
        question_cover=np.where(has, 0.8, 0.1),
        about=np.where(has, 0.7, 0.1),
        says=np.where(has, 0.8, 0.1),
        passage_base=np.full(sections, -300.0),
        passage_tuned=np.where(taught, -15.0, -290.0),
        passage_tokens=np.full(sections, 80),
        resemblance=np.linspace(1, 0, sections),
        logprob_base=np.full(n, logprob_base),
        logprob_tuned=logprob_base + np.asarray(gain, float),
        shown=np.arange(min(2, sections)),
        logprob_shown=np.tile(np.where(has, 0.1, 1.0)[: min(2, sections), None] * logprob_base, (1, n)),
        text_base=np.full(sections, -300.0),
        text_tuned=np.where(taught, -15.0, -290.0),
        text_tokens=np.full(sections, 80),
        text_form=np.zeros(sections, int),
        control_base=np.full(controls, -300.0),
        control_tuned=np.linspace(-310, -290, controls),
        control_tokens=np.full(controls, 80),
        control_form=np.zeros(controls, int),
        control_about=np.full(controls, 0.15),
    )


def make_explanation(
    seed: int = 0,
    answer: int = 8,
    prompt: int = 12,
    sections: int = 20,
    *,
    controls: int = 6,
    documents: int = 3,
    answer_texts: Sequence[str] | None = None,
    titles: Sequence[str] = (),
    texts: Sequence[str] = (),
    question: str | None = None,
    base_answer: str = "The warranty is twelve months.",
    mappers: Sequence[str] = ("bm25", "hidden"),
    methods: Sequence[str] = ("attention", "input_x_gradient"),
    unit: Literal["token", "word", "sentence", "answer"] | tuple[Unit, ...] = "token",
    target: str = "logprob",
    gap: float = 0.01,
) -> Explanation:
    """A record with ``answer`` answer tokens (or ``answer_texts``), ``prompt`` prompt tokens and ``sections`` sections.

    The prompt is a chat template (marker, role, question, marker, role) cut to at least 5 tokens; ``question`` takes
    the place of the question's tokens as one token. ``unit``, ``target`` and ``gap`` (a share of what a row should sum
    to) are those of the attributions. The same arguments give the same record.
    """
    rng = np.random.default_rng(seed)
    answer_tokens = make_tokens(
        answer_texts if answer_texts is not None else [ANSWER[i % len(ANSWER)] for i in range(answer)]
    )
    asked = [question] if question is not None else [QUESTION[i % len(QUESTION)] for i in range(max(prompt - 4, 1))]
    prompt_texts = ["<|im_start|>", "user\n", *asked, "<|im_end|>", "assistant\n"]
    prompt_tokens = make_tokens(prompt_texts, special=(0, len(prompt_texts) - 2))
    n, p, candidates = (
        len(answer_tokens),
        len(prompt_tokens),
        make_sections(sections, documents=documents, titles=titles, texts=texts),
    )
    base, tuned = make_capture(rng, n, p), make_capture(rng, n, p)
    tuned = replace(tuned, logprob=np.minimum(0.0, base.logprob + rng.normal(2, 2, n)))
    mappings = {
        name: Mapping(
            name,
            name not in ("bm25", "embedding"),
            make_side(rng, candidates, n, controls, 0.6 if name not in ("bm25", "embedding") else 1.0),
            make_side(rng, candidates, n, controls, 1.0),
        )
        for name in mappers
    }
    mappings = {name: m if m.uses_model else replace(m, base=m.tuned) for name, m in mappings.items()}
    best = sum((m.tuned.whole for m in mappings.values()), np.zeros(sections))
    verdict = make_verdict(rng, tuned.logprob - base.logprob, sections, controls)
    assert verdict.evidence is not None
    text = "".join(token.text for token in answer_tokens)
    rows, question_text = units(answer_tokens, unit), "".join(asked).strip()
    sources = question_words(prompt_tokens, question_text)
    return Explanation(
        question=question_text,
        answer=text,
        answer_source="tuned",
        base_answer=base_answer,
        tuned_answer=text,
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        base=base,
        tuned=tuned,
        attributions={
            name: make_attribution(
                rng, name, base, tuned, p, rows, sources if name in PERTURBATION else None, target=target, gap=gap
            )
            for name in methods
        },
        sections=candidates,
        sections_total=sections,
        mappings=mappings,
        ranking=np.argsort(-best, kind="stable"),
        verdict=replace(verdict, evidence=replace(verdict.evidence, resemblance=best)),
        provenance={"base": "0" * 12, "tuned": "1" * 12, "documents": "2" * 12, "seed": seed},
    )


def question_words(prompt_tokens: Sequence[Token], question: str) -> tuple[Unit, ...]:
    """The question's tokens grouped to words, as perturbation takes them away."""
    inside = set(question_positions(prompt_tokens, question))
    groups = (tuple(i for i in word if i in inside) for word in words(prompt_tokens))
    return tuple(group for group in groups if group)


def make_attribution(
    rng: np.random.Generator,
    method: str,
    base: Capture,
    tuned: Capture,
    prompt: int,
    rows: Sequence[Unit] | None = None,
    columns: Sequence[Unit] | None = None,
    *,
    target: str = "logprob",
    gap: float = 0.01,
) -> Attribution:
    """The capture's attention for ``attention``; else random scores, zero from the row's last token on.

    ``rows`` default to tokens, ``columns`` to positions. Methods of PROMISING miss their sum by the share ``gap``.
    """
    n = len(base.logprob)
    rows = tuple(rows) if rows is not None else tuple((i,) for i in range(n))
    columns = tuple(columns) if columns is not None else tuple((i,) for i in range(prompt + n))
    sides = [_scores(rng, method, side, scale, prompt, rows, columns) for side, scale in ((base, 1.0), (tuned, 1.5))]
    # sum = change + gap and gap = share · change.
    gaps = [scores.sum(1) * gap / (1 + gap) if method in PROMISING else None for scores in sides]
    settings = {"sources": "word", "ablate": "delete"} if method in PERTURBATION else {}
    return Attribution(
        method,
        target,
        rows,
        columns,
        *sides,
        *(np.array([side.logprob[list(row)].sum() for row in rows]) for side in (base, tuned)),
        *gaps,
        {"base": settings, "tuned": settings} if settings else {},
    )


def _scores(
    rng: np.random.Generator,
    method: str,
    side: Capture,
    scale: float,
    prompt: int,
    rows: Sequence[Unit],
    columns: Sequence[Unit],
) -> np.ndarray:
    """[row, column]"""
    if method == "attention" and side.attention is not None:
        wide = np.stack([side.attention[list(row)].mean(0) for row in rows]) if rows else side.attention
        return np.stack([wide[:, list(column)].sum(1) for column in columns], 1)
    first, last = np.array([min(column) for column in columns]), np.array([max(row) for row in rows], int)
    scores = rng.normal(0, scale, (len(rows), len(columns))) * (first < prompt + last[:, None])
    if not method.startswith(UNSIGNED) or method == "attention_x_gradient":
        return scores
    return np.abs(scores)


def swapped(explanation: Explanation) -> Explanation:
    """The same record with base and tuned exchanged in captures, attributions, mappings and gain."""
    return replace(
        explanation,
        base=explanation.tuned,
        tuned=explanation.base,
        attributions={k: _swapped(a) for k, a in explanation.attributions.items()},
        mappings={k: replace(m, base=m.tuned, tuned=m.base) for k, m in explanation.mappings.items()},
        verdict=replace(explanation.verdict, gain=-explanation.verdict.gain),
    )


def _swapped(attribution: Attribution) -> Attribution:
    return replace(
        attribution,
        base=attribution.tuned,
        tuned=attribution.base,
        value_base=attribution.value_tuned,
        value_tuned=attribution.value_base,
        gap_base=attribution.gap_tuned,
        gap_tuned=attribution.gap_base,
    )
