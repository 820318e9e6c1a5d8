"""Other libraries, held back: their bars, notices and long messages. Not covered: output of subprocesses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back progress bars, notices and retry messages of transformers and the hub; restored on leaving."""
    import warnings
    from logging import CRITICAL

    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_verbosity = hub_logging.get_verbosity()
    logging.set_verbosity_error()
    hub_logging.set_verbosity(CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(hub_verbosity)
        if bars:
            logging.enable_progress_bar()


def reason_of(error: BaseException) -> str:
    """Another library's message as one line, a long one up to a word near its 300th character."""
    said = " ".join(str(error).split())
    if len(said) > 300:
        said = f"{said[:300].rpartition(' ')[0]} …"
    return said.rstrip(".") or type(error).__name__
