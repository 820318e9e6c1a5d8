"""A command of ``attrib``, run in the process of the tests."""

from __future__ import annotations

import sys

import pytest

from attrib import cli


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of ``attrib`` with these arguments."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["attrib", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    return int(caught.value.code or 0), out, err
