"""One process alone needs no group; several agree on the first one's result, and on its error."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from attrib import processes
from attrib.errors import InputError
from tests.programs import ROOT, run


def test_one_process_is_first_and_agrees_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert (processes.rank(), processes.world(), processes.local_rank(), processes.is_first()) == (0, 1, None, True)
    assert processes.on_first(lambda: "kept") == "kept"
    assert processes.gather("mine") == ["mine"]
    with processes.meeting("index") as barrier:
        barrier()


def test_the_environment_of_torchrun_names_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in (("RANK", "5"), ("WORLD_SIZE", "8"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, number)
    assert (processes.rank(), processes.world(), processes.local_rank(), processes.is_first()) == (5, 8, 1, False)


@pytest.mark.parametrize(("rank", "world"), [("2", "2"), ("-1", "1"), ("1", "1")])
def test_a_rank_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, rank: str, world: str) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world)
    with pytest.raises(InputError, match=f"rank {rank} of {world}"), processes.meeting("index"):
        pass


def test_the_question_who_is_first_loads_no_torch() -> None:
    ask = "import sys; from attrib import processes; assert processes.is_first(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", ask], cwd=ROOT, check=True)


def agree() -> None:
    """What each of two processes does; run by the test below."""
    number = os.environ["RANK"]
    with processes.meeting("index") as barrier:
        import torch.distributed as dist

        assert processes.on_first(lambda: f"from {number}") == "from 0"
        try:
            processes.on_first(lambda: int("no number"))
        except ValueError as error:
            said = str(error)
        everybody = processes.gather(number)
        barrier()
        counted = processes.rank(), processes.world(), processes.is_first()
        assert dist.is_initialized()
    assert not dist.is_initialized()
    sys.stdout.write(json.dumps([said, everybody, counted]))


def test_two_processes_have_the_first_ones_result_and_its_error() -> None:
    (one, said), (two, also_said) = run((agree,), (agree,))
    assert (one, two) == (0, 0), said + also_said
    error = "invalid literal for int() with base 10: 'no number'"
    assert json.loads(said) == [error, ["0", "1"], [0, 2, True]]
    assert json.loads(also_said) == [error, ["0", "1"], [1, 2, False]]
