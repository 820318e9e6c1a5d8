"""One answer, judged: the record that ``explain`` returns.

Not covered: how it is stored (``records.storage``) or drawn (``render``).
"""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Int

from attrib.errors import RecordError
from attrib.records.answer import Capture, Section, Token
from attrib.records.checks import check_shape
from attrib.records.counterfactual import Counterfactual
from attrib.records.scores import Attribution, Mapping
from attrib.records.verdict import Verdict
from attrib.records.vocabulary import Verbatim, Vocabulary, VocabularyShare

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AnswerSource = Literal["tuned", "base", "given"]


@dataclass(frozen=True, eq=False)
class Explanation:
    """One answer, judged: what ``explain`` returns, ``storage`` stores and ``render`` draws."""

    question: str
    answer: str
    answer_source: AnswerSource
    base_answer: str
    """The base model's own answer."""
    tuned_answer: str
    """The tuned model's own answer."""
    prompt_tokens: tuple[Token, ...]
    answer_tokens: tuple[Token, ...]
    base: Capture
    tuned: Capture
    attributions: MappingABC[str, Attribution]
    """By method name."""
    sections: tuple[Section, ...]
    """The sections that were scored (the candidates); ``sections_total`` counts the corpus."""
    sections_total: int
    mappings: MappingABC[str, Mapping]
    """By mapper name."""
    ranking: Int[np.ndarray, " section"]
    """Indices into ``sections``, best first: the order the verdict relies on."""
    verdict: Verdict
    provenance: MappingABC[str, object]
    """Hashes of models, tokenizer and documents, seed, versions, device, dtype, options."""
    vocabulary: Vocabulary | None = None
    """Words of the question that the documents have; None for a question without words."""
    shares: tuple[VocabularyShare, ...] = ()
    """Share of each method's scores on those words and phrases, beside chance."""
    verbatim: tuple[Verbatim, ...] = ()
    """The longest word runs that answer and documents share, longest first."""
    counterfactuals: tuple[Counterfactual, ...] = ()
    """What the model says when it was tuned without sections of the caller's choice, or on them alone."""

    def __post_init__(self) -> None:
        n, p, m = len(self.answer_tokens), len(self.prompt_tokens), len(self.sections)
        for name, side in (("base", self.base), ("tuned", self.tuned)):
            check_shape(self, f"{name}.logprob", side.logprob, (n,))
            check_shape(self, f"{name}.attention", side.attention, (n, p + n))
        for method, attribution in self.attributions.items():
            for axis, groups, size in (("rows", attribution.rows, n), ("columns", attribution.columns, p + n)):
                if not all(0 <= i < size for group in groups for i in group):
                    raise RecordError(f"Explanation.attributions[{method!r}].{axis} has an index beyond {size - 1}")
        for mapper, mapping in self.mappings.items():
            check_shape(self, f"mappings[{mapper!r}]", mapping.base.tokens, (n, m))
        check_shape(self, "ranking", self.ranking, (m,))
        check_shape(self, "verdict.gain", self.verdict.gain, (n,))
        for number, found in enumerate(self.counterfactuals):
            check_shape(self, f"counterfactuals[{number}].logprob", found.logprob, (n,))
        check_shape(self, "verdict.learned", self.verdict.learned, (m,))

    @property
    def tokens(self) -> tuple[Token, ...]:
        """Prompt and answer tokens: the labels of the axis ``position``."""
        return self.prompt_tokens + self.answer_tokens

    # Those below only hand on: a person with a record in hand expects them here. Imported late, since records
    # know nothing of storage and drawing.

    def save(self, path: str | Path) -> Path:
        """Write one .safetensors file; see ``storage.save``."""
        from attrib.records import storage

        return storage.save(self, path)

    def figure(self, mapper: str | None = None, method: str | None = None, *, preset: str = "neurips-double") -> Figure:
        """The three-panel heatmap over sections (``mapper``) or prompt tokens (``method``), a matplotlib Figure.

        Neither named: sections by the last mapper of the record.
        """
        from attrib.render import figures

        if method is not None:
            return figures.prompt_heatmap(self, method, preset=preset)
        return figures.section_heatmap(self, mapper or list(self.mappings)[-1], preset=preset)

    def to_html(self) -> str:
        """The interactive page as one self-contained file's text; see ``render.page.html``."""
        from attrib.render import page

        return page.html(self).decode()

    def _repr_html_(self) -> str:
        """The page inside a notebook's cell."""
        from attrib.render import page

        return page.frame(self)

    def show(self, top: int = 5, *, everything: bool = False) -> None:
        """Print where the answer comes from; ``everything``: scores of prompt and the ``top`` sections too."""
        from rich.console import Console

        from attrib.render import terminal

        terminal.show(self, Console(), top=top, everything=everything)
