"""Integrated gradients (Sundararajan et al. 1703.01365) on the input embeddings, or the values at any hook
point, with their completeness gap.

Scores of a row sum to the target's change between baseline and input only as far as the quadrature is right: the gap is
always in the record. One forward per point serves all answer tokens; other libraries run one per token.

Most of the change happens on a small part of the path, which evenly spaced points miss. A survey by forwards alone, one
for all rows, locates it; points are then spaced evenly in the CHANGE, each panel's integrand at its middle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attrib.attribution.gradient import refuse_without_positions, times_value
from attrib.attribution.job import AttributionJob, MethodScores
from attrib.errors import InputError
from attrib.options.methods import EMBEDDINGS
from attrib.passes.backward import backpropagate
from attrib.passes.forward import Changed, Inputs, at_least_float, evaluate, refuse_unknown
from attrib.passes.plan import copies_together
from attrib.records.kind import ScoreKind

INTEGRATED_GRADIENTS = ScoreKind(
    unit="integrated gradient of {target}",
    meaning="integrated gradient of the row's {target}",
    caveat="Integrated gradients compare with a baseline that is no text; another baseline gives other scores.",
    broken="not converged",
)

SURVEY = 40
"""Forwards of the survey."""
CANCELLING = 5.0
"""Limit on the sum of the panels' |gap|, in tolerances."""
FIRST_PANELS = 12
"""Initial number of panels of the adaptive rule."""


@dataclass(eq=False)
class _Line:
    """The straight path from the baseline's embeddings (α = 0) to the input's (α = 1)."""

    job: AttributionJob
    nothing: Any
    """Embedding of the baseline, [d_model]."""
    point: str = EMBEDDINGS
    """Positions that move along the path."""
    difference: Any = None
    """Value − start of the last forward, [1, position, …], float32 or better.

    Computed from the path it would lose its digits near the baseline in half precision.
    """

    def inputs(self, alphas: Sequence[float]) -> Inputs:
        """Points of the path, one per batch element."""

        def move(value: Any) -> Any:
            return self.between(value, self.start(value), alphas)

        return self.job.inputs(embeddings=Changed(move, len(alphas)))

    def start(self, value: Any) -> Any:
        """The embeddings at α = 0: the baseline at the positions that move."""
        moved = self.job.prompt if self.job.options.integrated_gradients.path == "prompt" else self.job.positions
        start = value.clone()
        start[:, :moved] = self.nothing.to(value)
        return start

    def between(self, value: Any, start: Any, alphas: Sequence[float]) -> Any:
        """start + α (value − start), [point, position, …]."""
        import torch

        self.difference = at_least_float(value.detach()[:1]) - at_least_float(start)
        alpha = torch.tensor(list(alphas), dtype=value.dtype, device=value.device)
        return start + alpha.reshape(-1, *[1] * (value.ndim - 1)) * (value - start)


@dataclass(eq=False)
class _LayerLine(_Line):
    """The straight path at another hook point, between its values for the baseline's embeddings and for the input's."""

    origin: Any = None
    """Values at the point for the baseline's embeddings, [1, position, …]."""

    def inputs(self, alphas: Sequence[float]) -> Inputs:
        """Points of the path, one per batch element; the embeddings are the input's."""

        def move(value: Any, hook: Any) -> Any:
            return self.between(value, self.origin[:, : value.shape[1]].to(value), alphas)

        copies = Changed(lambda value: value.expand(len(alphas), -1, -1), len(alphas))
        return self.job.inputs(embeddings=copies, rules=((self.point, move),))

    def begin(self) -> _LayerLine:
        """The line with its origin computed. Raises InputError for a point that does not exist or has no positions."""
        refuse_unknown(self.job.model.bridge, (self.point,))

        def see(value: Any, hook: Any) -> None:
            self.origin = value.detach()

        embeddings = Changed(self.start)
        evaluate(self.job.inputs(embeddings=embeddings, rules=((self.point, see),)))
        refuse_without_positions(self.point, self.origin, self.job.positions - 1)
        return self


def integrated(job: AttributionJob, parts: Mapping[str, None]) -> dict[str, MethodScores]:
    """∫ gradient dα · (embedding − baseline) at each position, for each row; at another hook point, of its values.

    There the path runs between the point's values for the baseline and for the input, every position moved, and the
    change is that of the target while the point is moved (Captum's LayerIntegratedGradients).
    """
    options = job.options
    given = (job, nothing(job), options.at)
    line = _Line(*given) if options.at == EMBEDDINGS else _LayerLine(*given).begin()
    ends = job.by_row(_along(job, line, (0.0, 1.0)))
    change = ends[1] - ends[0]
    path = options.integrated_gradients
    steps = path.steps
    if steps == "auto":
        scores, used = _adaptive(job, line, change)
    elif path.rule == "gauss":
        scores, used = _quadrature(job, line, *_gauss(steps))[0], steps
    else:
        edges = spread(*_survey(job, line, steps), steps)
        scores, used = _quadrature(job, line, (edges[1:] + edges[:-1]) / 2, np.diff(edges))[0], steps
    settings: dict[str, object] = {
        "steps": used,
        "rule": path.rule if steps != "auto" else "guided, refined",
        "baseline": options.baseline,
        "path": path.path,
        "at": options.at,
        "tolerance": path.tolerance,
        "change": [float(c) for c in change],
    }
    gap = scores.sum(1) - change
    settings["converged"] = bool((np.abs(gap) <= _allowed(path.tolerance, change)).all())
    return dict.fromkeys(parts, MethodScores(scores, job.every_position, gap, settings))


def nothing(job: AttributionJob) -> Any:
    """Embedding of the baseline, [d_model]."""
    import torch

    baseline, table = job.options.baseline, job.model.bridge.original_model.get_input_embeddings()
    with job.model.active(), torch.no_grad():
        if baseline == "zero":
            return torch.zeros_like(table.weight[0])
        if baseline == "mean":
            return table.weight.float().mean(0).to(table.weight)
        token = baseline_token(job)
        return table(torch.tensor([token], device=table.weight.device))[0]


def baseline_token(job: AttributionJob) -> int:
    """Id of the baseline token. Raises InputError where the baseline is no token of the vocabulary."""
    baseline, tokenizer = job.options.baseline, job.model.tokenizer
    size = int(job.model.bridge.original_model.get_input_embeddings().weight.shape[0])
    if isinstance(baseline, int):
        if not 0 <= baseline < size:
            raise InputError(f"baseline: token {baseline} is not in the vocabulary of {size:,}; give another id")
        return baseline
    token = {"pad": tokenizer.pad_token_id, "unk": tokenizer.unk_token_id, "eos": tokenizer.eos_token_id}.get(baseline)
    if token is None:
        raise InputError(f"baseline {baseline!r}: it is no token of this tokenizer; use pad, unk, eos or a token's id")
    return int(token)


def _allowed(tolerance: float, change: np.ndarray) -> np.ndarray:
    """Largest accepted gap of each row: a share of its change, or of the mean row's where that is more, [row]."""
    size = np.abs(change)
    return np.asarray(tolerance * np.maximum(size, size.mean()))


def _gauss(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss–Legendre points and weights on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(n)
    return (points + 1) / 2, weights / 2


def _along(job: AttributionJob, line: _Line, alphas: Sequence[float]) -> np.ndarray:
    """The targets of all answer tokens at points of the path, [point, answer]; forwards only."""
    size = copies_together(job.inputs(), 1)
    runs = [alphas[at : at + size] for at in range(0, len(alphas), size)]
    values = [evaluate(line.inputs(run)).double().cpu().numpy() for run in runs]
    return np.concatenate(values)


def _quadrature(
    job: AttributionJob, line: _Line, alphas: np.ndarray, weights: np.ndarray, *, apart: bool = False
) -> np.ndarray:
    """Weight · gradient · (embedding − baseline), [1, row, position], or ``apart`` [point, row, position]."""
    import torch

    scores = np.zeros((len(alphas) if apart else 1, len(job.rows), job.positions), np.float32 if apart else np.float64)
    size = copies_together(job.inputs(), len(job.rows))
    for at in range(0, len(alphas), size):
        run = [float(alpha) for alpha in alphas[at : at + size]]
        weight = torch.tensor(weights[at : at + size], dtype=torch.float64)
        for part in backpropagate(line.inputs(run), job.rows, (line.point,)):
            found = _dot(part.gradients[line.point], line, weight).cpu().numpy()
            for i in range(len(run)):
                scores[at + i if apart else 0, list(part.rows), : found.shape[-1]] += found[:, i]
        job.tell(f"integrated gradients, {job.model.name}", at + len(run), len(alphas))
    return scores


def _dot(gradient: Any, line: _Line, weights: Any) -> Any:
    """Weight · ⟨gradient, value − start⟩, [row, point, position]."""
    products = times_value(at_least_float(gradient), line.difference).double()
    return products * weights.to(products.device)[None, :, None]


def _survey(job: AttributionJob, line: _Line, panels: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of the path and the targets there, [point] and [point, answer]: denser where the targets change.

    The points depend on all answer tokens, not on the rows, so that a word has the points of its tokens. Changes are
    rounded, so that the last bits of a batch do not matter.
    """
    alphas = np.linspace(0.0, 1.0, 9)
    values = _along(job, line, list(alphas))
    digit = np.maximum(np.ptp(values, axis=0), 1e-12) / 1e4
    values = np.round(values / digit) * digit
    while len(alphas) < max(SURVEY, 2 * panels):
        share = _variation(values)
        worst = np.sort(np.argsort(-share, kind="stable")[:8])
        new = (alphas[worst] + alphas[worst + 1]) / 2
        found = np.round(_along(job, line, list(new)) / digit) * digit
        alphas, values = np.insert(alphas, worst + 1, new), np.insert(values, worst + 1, found, axis=0)
    return alphas, values


def _variation(values: np.ndarray) -> np.ndarray:
    """Share of the change in each interval, every answer token counted alike; [point, answer] → [point − 1]."""
    steps = np.abs(np.diff(values, axis=0))
    return np.asarray((steps / np.maximum(steps.sum(0), 1e-12)).mean(1))


def spread(alphas: np.ndarray, values: np.ndarray, panels: int) -> np.ndarray:
    """Edges of panels with equal shares of the path's change; a fifth of each share is length, for unseen changes."""
    density = 0.8 * _variation(values) + 0.2 * np.diff(alphas)
    cumulative = np.concatenate([[0.0], np.cumsum(density)])
    edges = np.interp(np.linspace(0.0, cumulative[-1], panels + 1), cumulative, alphas)
    edges[0], edges[-1] = 0.0, 1.0
    return np.asarray(edges)


def _adaptive(job: AttributionJob, line: _Line, change: np.ndarray) -> tuple[np.ndarray, int]:
    """Cut panels in three, the worst first, until every row's gap is within the tolerance. Scores and points used.

    The middle third keeps the panel's own point, so that no computed point is lost. A panel's gap is the sum of its
    scores − the target's change over it, which forwards alone give; gaps that cancel by chance must not be large.
    """
    allowed = _allowed(job.options.integrated_gradients.tolerance, change)
    most = job.options.integrated_gradients.max_steps
    first = min(FIRST_PANELS, most)
    edges = spread(*_survey(job, line, first), first)
    values = job.by_row(_along(job, line, list(edges)))
    scores = _quadrature(job, line, (edges[1:] + edges[:-1]) / 2, np.diff(edges), apart=True)
    used = len(scores)
    while True:
        gaps = scores.sum(-1, dtype=np.float64) - np.diff(values, axis=0)
        room = (most - used) // 2
        within = (np.abs(gaps.sum(0)) <= allowed) & (np.abs(gaps).sum(0) <= CANCELLING * allowed)
        if within.all() or room < 1:
            return scores.sum(0, dtype=np.float64), used
        size = (np.abs(gaps) / np.maximum(allowed, 1e-12)).max(1)
        # A few at a time: the ranking of panels improves after each round.
        count = min(room, max(1, len(size) // 4))
        worst = np.sort(np.argsort(-size, kind="stable")[:count])
        low, width = edges[worst], np.diff(edges)[worst] / 3
        sides = np.concatenate([low + width / 2, low + 2.5 * width])
        new = _quadrature(job, line, sides, np.concatenate([width, width]), apart=True)
        inner = job.by_row(_along(job, line, [*(low + width), *(low + 2 * width)]))
        n = len(worst)
        scores[worst] /= 3
        order = np.argsort(np.concatenate([(edges[1:] + edges[:-1]) / 2, sides]), kind="stable")
        scores = np.concatenate([scores, new])[order]
        where = np.argsort(np.concatenate([edges, low + width, low + 2 * width]), kind="stable")
        edges = np.concatenate([edges, low + width, low + 2 * width])[where]
        values = np.concatenate([values, inner])[where]
        used += 2 * n
