"""Whole files or none, and one line when it cannot be."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from attrib.errors import InputError
from attrib.files import locked, write_atomically


def test_bytes_arrive_in_a_new_folder_and_replace_the_old(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "x.bin"
    write_atomically(file, b"one")
    assert file.read_bytes() == b"one"
    write_atomically(file, b"\0two")
    assert file.read_bytes() == b"\0two"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_others_may_read_as_the_umask_allows(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "x", b"")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("step", ["os.fdopen", "os.chmod", "os.replace"])
def test_a_full_disk_leaves_the_old_file_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    file = tmp_path / "x"
    write_atomically(file, b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(step, full)
        with pytest.raises(InputError, match="No space left") as refused:
            write_atomically(file, b"new")
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_an_interruption_leaves_the_old_file_and_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x"
    write_atomically(file, b"old")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_in_the_folders_place_and_a_folder_in_the_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    for target in (tmp_path / "file" / "x", tmp_path / "folder"):
        with pytest.raises(InputError, match="cannot be written") as refused:
            write_atomically(target, b"")
        assert "\n" not in str(refused.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        write_atomically(tmp_path / "x", b"")


def test_an_error_without_a_reason_of_the_system_still_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*_: object) -> None:
        raise OSError("the share went away")

    monkeypatch.setattr("os.replace", odd)
    with pytest.raises(InputError, match="the share went away"):
        write_atomically(tmp_path / "x", b"")


def test_a_lock_that_is_held_is_refused_or_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "folder" / ".lock"
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(file):
            held.set()
            go.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(60)
    try:
        with pytest.raises(InputError, match="in use"), locked(file, busy="in use"):
            pass
        # It is told of before the wait, which ends with the holder's work.
        with locked(file, on_wait=go.set):
            assert file.exists()
    finally:
        go.set()
        holder.join()
    assert list(file.parent.iterdir()) == []
    with locked(file, busy="in use"):
        pass


def test_a_lock_is_freed_by_an_error_inside(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / ".lock"):
        raise KeyError
    with locked(tmp_path / ".lock", busy="in use"):
        pass


def test_a_lock_where_nothing_can_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be written") as refused, locked(tmp_path / "file" / ".lock"):
        pass
    assert "\n" not in str(refused.value)
