"""Effect of removing parts of the prompt: leave-one-out, ContextCite's linear surrogate, Shapley values.

One column per source (token, word or sentence). Sources are deleted, or replaced by a token. Either prompt may be no
language, so that a score is the effect of THAT change. Earlier answer tokens are never removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from attrib.attribution.integrated import baseline_token
from attrib.attribution.job import AttributionJob, MethodScores
from attrib.errors import InputError
from attrib.options.methods import Unit
from attrib.passes.variants import score_variants
from attrib.records.kind import ScoreKind

LEAVE_ONE_OUT = ScoreKind(
    unit="drop of {target}",
    meaning="drop of the row's {target} when a part of the question is taken away",
    caveat="A part's drop is small where another part says the same, and what is left may be no language.",
)
CONTEXTCITE = ScoreKind(
    unit="weight for {target}",
    meaning="weight of a part of the question in a sparse linear model of the row's {target} over random subsets",
    caveat="A linear model misses parts that only act together; its fit is as good as its R².",
    label="ContextCite",
)
SHAPLEY = ScoreKind(
    unit="Shapley value of {target}",
    meaning="mean gain of the row's {target} when a part of the question arrives, over random orders",
    caveat="Orders are sampled: another seed gives other values, and most subsets of a question are no language.",
    broken="not converged",
    label="Shapley",
)

LASSO = 0.01
"""Weight of the L1 penalty on standardised scores (2409.00729, section 4)."""


def left_out(job: AttributionJob, parts: Mapping[str, None]) -> dict[str, MethodScores]:
    """Target of the whole prompt − target without one source."""
    sources = _sources(job)
    kept = np.ones((len(sources) + 1, len(sources)), bool)
    kept[1:] = ~np.eye(len(sources), dtype=bool)
    values, forwards = _values(job, sources, kept, "leave one out")
    scores = (values[0] - values[1:]).T
    return dict.fromkeys(parts, MethodScores(scores, sources, None, _settings(job, forwards)))


def contextcite(job: AttributionJob, parts: Mapping[str, None]) -> dict[str, MethodScores]:
    """Weights of a sparse linear model of the target over random halves of the sources (Cohen-Wang et al. 2409.00729).

    The settings have each row's R² on its training subsets: a poor fit means that sources act together. The paper
    fits the log-odds of the whole answer: use unit "answer" and target "logodds".
    """
    from sklearn.linear_model import Lasso

    sources, n = _sources(job), job.options.contextcite.ablations
    if n < 4:
        raise InputError(f"ablations={n}: a surrogate needs at least 4 random subsets; give more")
    rng = np.random.default_rng(job.options.seed)
    kept = rng.random((n, len(sources))) < 0.5
    values, forwards = _values(job, sources, kept, "contextcite")
    mean, spread = kept.mean(0), kept.std(0)
    # A source that was always kept, or never, carries no information.
    scale = np.where(spread > 0, spread, np.inf)
    scores, fits = np.zeros((len(job.rows), len(sources))), []
    for row in range(len(job.rows)):
        y = values[:, row]
        if y.std() > 0:
            standard = (kept - mean) / scale
            model = Lasso(alpha=LASSO, max_iter=10_000).fit(standard, (y - y.mean()) / y.std())
            scores[row] = model.coef_ / scale * y.std()
            fits.append(float(model.score(standard, (y - y.mean()) / y.std())))
        else:
            fits.append(0.0)
    settings = {**_settings(job, forwards), "ablations": n, "r2": fits, "penalty": LASSO, "seed": job.options.seed}
    return dict.fromkeys(parts, MethodScores(scores, sources, None, settings))


def shapley(job: AttributionJob, parts: Mapping[str, None]) -> dict[str, MethodScores]:
    """Mean gain of a source when sources arrive in random orders (Castro et al. 2009, permutation sampling).

    Rows sum to target with all sources − target with none, for any number of orders.
    """
    sources, orders = _sources(job), job.options.shapley.permutations
    if orders < 1:
        raise InputError(f"permutations={orders}: Shapley values need an order or more")
    rng = np.random.default_rng(job.options.seed)
    drawn = [rng.permutation(len(sources)) for _ in range(orders)]
    steps = np.arange(len(sources) + 1)
    # arrival[i] < step: source i is present.
    kept = np.concatenate([np.argsort(order)[None] < steps[:, None] for order in drawn])
    scored, forwards = _values(job, sources, kept, "shapley")
    values = scored.reshape(orders, len(sources) + 1, -1)
    scores = np.zeros((len(job.rows), len(sources)))
    for order, run in zip(drawn, values, strict=True):
        scores[:, order] += np.diff(run, axis=0).T / orders
    gap = scores.sum(1) - (values[0, -1] - values[0, 0])
    settings = {**_settings(job, forwards), "permutations": orders, "seed": job.options.seed}
    return dict.fromkeys(parts, MethodScores(scores, sources, gap, settings))


def without(job: AttributionJob, sources: Sequence[Unit], kept: np.ndarray) -> tuple[int, ...]:
    """Prompt ids with the sources where ``kept`` is False deleted or replaced.

    An empty prompt becomes the token that begins a text, or ends one: a model needs at least one token.
    """
    gone = {i for source, stays in zip(sources, kept, strict=True) if not stays for i in source}
    ids = job.encoded.prompt_ids
    if job.options.perturbation.ablate == "delete":
        tokenizer = job.model.tokenizer
        begin = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        left = tuple(token for i, token in enumerate(ids) if i not in gone)
        return left or (() if begin is None else (int(begin),))
    token = baseline_token(job)
    return tuple(token if i in gone else ids[i] for i in range(len(ids)))


def _sources(job: AttributionJob) -> tuple[Unit, ...]:
    sources = job.sources()
    if not sources:
        raise InputError(
            "sources: the prompt has nothing to take away but its chat template; allow that with "
            "-o perturbation.template=true"
        )
    return sources


def _values(job: AttributionJob, sources: Sequence[Unit], kept: np.ndarray, what: str) -> tuple[np.ndarray, int]:
    """Targets of the rows for each pattern of kept sources, [variant, row], and the number of distinct patterns."""
    distinct, index = np.unique(kept, axis=0, return_inverse=True)
    prompts = [without(job, sources, row) for row in distinct]
    scored = score_variants(
        job.model,
        job.encoded,
        prompts,
        job.target,
        other=job.other,
        memory_gb=job.options.memory_gb,
        progress=lambda done, total: job.tell(f"{what}, {job.model.name}", done, total),
    )
    return job.by_row(scored)[index.reshape(-1)], len(distinct)


def _settings(job: AttributionJob, forwards: int) -> dict[str, object]:
    options = job.options.perturbation
    return {
        "sources": options.sources,
        "ablate": options.ablate,
        "baseline": job.options.baseline if options.ablate == "replace" else None,
        "forwards": forwards,
    }
