"""Python programs that tests start: one, or several that know of each other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]


def start(command: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        env=os.environ | environment,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(*processes: subprocess.Popen[str]) -> list[tuple[int, str]]:
    """Exit status and output of each; none is left behind, nor what it started."""
    try:
        # A busy machine takes minutes to import torch.
        said = [process.communicate(timeout=900) for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                # torchrun ends its workers, which have sessions of their own.
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(30)
                process.kill()
    return [(process.returncode, out + err) for process, (out, err) in zip(processes, said, strict=True)]


def run(*commands: Sequence[str]) -> list[tuple[int, str]]:
    """One process for each command, with the environment that torchrun gives them."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(one.getsockname()[1]), "WORLD_SIZE": str(len(commands))}
    return finish(*(start(command, **where, RANK=str(rank)) for rank, command in enumerate(commands)))
