"""Programs as processes of their own that cost no imports: one server has imported everything and forks for each.

What is to be killed, interrupted, or told from its exit status and output runs here. Not covered: the entry points
themselves (``python -m attrib``, torchrun) and a terminal as stdout; their tests start new interpreters.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FORKING = hasattr(os, "fork")
_SERVER = multiprocessing.get_context("forkserver" if FORKING else "spawn")
if FORKING:
    _SERVER.set_forkserver_preload(["tests.preloaded"])


class Program:
    """A function in a process of its own; what it prints goes to files."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, **environment: str) -> None:
        """``function`` must be one that a new process can import."""
        self._folder = tempfile.TemporaryDirectory(prefix="program-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        self._out, self._err = folder / "out", folder / "err"
        streams = (str(self._out), str(self._err))
        # The hash seed is another than here: no result may hang on it.
        kept = os.environ.get("PYTHONHASHSEED")
        os.environ["PYTHONHASHSEED"] = "7"
        try:
            self.process = _SERVER.Process(target=_enter, args=(function, arguments, environment, streams), daemon=True)
            self.process.start()
        finally:
            _set("PYTHONHASHSEED", kept)

    @property
    def out(self) -> str:
        return self._out.read_text("utf-8") if self._out.exists() else ""

    @property
    def err(self) -> str:
        return self._err.read_text("utf-8") if self._err.exists() else ""

    def wait(self, seconds: float = 300) -> int:
        """Exit status; minus the signal's number if one ended it."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, f"still running after {seconds} s: {self.err}"
        return self.process.exitcode

    def wait_for(self, met: Callable[[], bool], seconds: float = 60) -> None:
        """Until ``met`` or the program ends."""
        end = time.monotonic() + seconds
        while not met() and self.process.is_alive():
            assert time.monotonic() < end, f"it did not come to pass in {seconds} s: {self.err}"
            time.sleep(0.01)

    def send_signal(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _enter(
    function: Callable[..., Any], arguments: tuple[Any, ...], environment: Mapping[str, str], streams: tuple[str, str]
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(environment)
    for descriptor, stream, path in zip((1, 2), (sys.stdout, sys.stderr), streams, strict=True):
        stream.flush()
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, descriptor)
        os.close(file)
    function(*arguments)


def attrib(*arguments: str) -> None:
    """The command with ``arguments``."""
    from attrib import cli

    sys.argv = ["attrib", *arguments]
    cli.main()


Call = tuple[Callable[..., Any], *tuple[Any, ...]]
"""A function and its arguments."""


def finish(*programs: Program) -> list[tuple[int, str]]:
    """Exit status and output of each; none is left behind."""
    try:
        return [(program.wait(), program.out + program.err) for program in programs]
    finally:
        for program in programs:
            program.kill()


def run(*calls: Call) -> list[tuple[int, str]]:
    """One process for each call, with the environment that torchrun gives them."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(one.getsockname()[1]), "WORLD_SIZE": str(len(calls))}
    return finish(*(Program(*call, **where, RANK=str(rank)) for rank, call in enumerate(calls)))


def told(stderr: str) -> list[str]:
    """Lines on stderr but for the counts of what was read."""
    counted = re.compile(r"attrib: ((documents|control): \d+ sections? in|questions: .*: \d+ rows? read as) ")
    return [line for line in stderr.splitlines() if not counted.match(line)]
