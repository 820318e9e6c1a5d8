"""Questions of an assessment, how answers to them are made, and who judges them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from attrib.errors import InputError
from attrib.options.explain import LARGEST_SEED, ExplainOptions
from attrib.options.fields import bounded, everyday, internal


@dataclass(frozen=True)
class QuestionOptions:
    """The questions of an assessment."""

    path: Path | None = everyday(None, "Questions", flag="--questions")
    """Row file with questions, answers and kinds; default: the demo's test questions."""
    columns: tuple[str, ...] = everyday((), "Questions", flag="--question-columns")
    """Columns of that file by what they hold, where guessing fails: question=ask,answer=data.reply."""
    limit: int | None = everyday(None, "Questions", low=1)
    """Most questions to ask, the first ones."""


@dataclass(frozen=True)
class AnswerOptions:
    """How answers are made."""

    samples: int = internal(1)
    """Answers to each question."""
    temperature: float = internal(0.0)
    """Sampling temperature; 0 is greedy."""
    max_new_tokens: int = everyday(48, "Answer", low=1)
    """Longest generated answer, in tokens."""
    batch: int = bounded(16, low=1)
    """Answers generated at a time."""
    seed: int = everyday(ExplainOptions.seed, "Run", low=0, high=LARGEST_SEED)
    """Random seed, stored in the report."""


@dataclass(frozen=True)
class JudgeOptions:
    """Where and whom to ask. There is no key here."""

    url: str
    """Address of the API, such as ``https://host/v1``, or of its ``…/chat/completions``."""
    model: str
    """Name of the judge at that endpoint."""
    key_from: str = "ATTRIB_JUDGE_KEY"
    """Environment variable that holds the key. Where it is not set, the request has none: local servers need none."""
    timeout: float = 60.0
    """Seconds without a byte."""
    retries: int = 4
    """Further attempts after a 429, a 5xx, a time-out or a broken connection."""

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or not all("!" <= sign <= "~" for sign in self.url):
            raise InputError("judge url: not an http(s) address; give one such as https://host/v1")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise InputError(
                f"judge url of {parts.hostname}: it has a user, a query or a fragment, which could hold a secret; give "
                "the address only, and the key in the environment"
            )
        if not self.model.strip():
            raise InputError("judge model: no name; give the one that the endpoint knows")
        if self.timeout <= 0 or self.retries < 0:
            raise InputError(
                f"judge: timeout {self.timeout} and retries {self.retries}; the first has to be positive, the "
                "second not negative"
            )

    @property
    def endpoint(self) -> str:
        """Address that requests go to."""
        url = self.url.rstrip("/")
        return url if url.endswith("/chat/completions") else f"{url}/chat/completions"
