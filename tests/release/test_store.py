"""The content-addressed store: whole or not at all, and never believed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus_release.adapters import store as store_module
from nexus_release.adapters.store import FolderStore
from nexus_release.errors import BadInput, DigestMismatch, Missing


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    (made / "sub").mkdir(parents=True)
    (made / "a.json").write_text("{}")
    (made / "sub" / "b.bin").write_bytes(b"\0" * 10)
    (made / "a.json").chmod(0o600)
    return made


def test_what_was_put_comes_back_readable_by_others(store: FolderStore, folder: Path) -> None:
    artifact = store.put(folder)
    found = store.get(artifact.digest)
    assert (artifact.bytes, artifact.files) == (12, 2)
    assert (found / "sub" / "b.bin").read_bytes() == b"\0" * 10
    assert (found / "a.json").stat().st_mode & 0o777 == 0o644
    assert store.uri(artifact.digest) == found.as_uri()


def test_the_same_content_twice_is_one_entry(store: FolderStore, folder: Path, tmp_path: Path) -> None:
    assert store.put(folder) == store.put(folder)
    assert len(list((tmp_path / "store" / "sha256").iterdir())) == 1


def test_a_moved_file_is_other_content(store: FolderStore, folder: Path) -> None:
    before = store.put(folder)
    (folder / "a.json").rename(folder / "c.json")
    assert store.put(folder).digest != before.digest


@pytest.mark.parametrize("change", ["byte", "more", "less", "link"])
def test_a_changed_entry_is_named(store: FolderStore, folder: Path, change: str) -> None:
    found = store.get(digest := store.put(folder).digest)
    match change:
        case "byte":
            (found / "a.json").write_text("[]")
        case "more":
            (found / "c").write_text("")
        case "less":
            (found / "a.json").unlink()
        case "link":
            (found / "c").symlink_to("/etc/passwd")
    with pytest.raises(DigestMismatch, match=digest.removeprefix("sha256:")):
        store.get(digest)


def test_what_is_not_there_is_missing(store: FolderStore) -> None:
    with pytest.raises(Missing):
        store.get("sha256:" + "0" * 64)


def test_a_link_is_refused_and_nothing_is_left(store: FolderStore, folder: Path, tmp_path: Path) -> None:
    (folder / "z").symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match="'z'"):
        store.put(folder)
    assert list((tmp_path / "store" / "sha256").iterdir()) == []


def test_a_put_that_is_cut_off_leaves_no_entry(
    store: FolderStore, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nexus_release.adapters.store._sync", full)
    with pytest.raises(OSError, match="No space"):
        store.put(folder)
    assert list((tmp_path / "store" / "sha256").iterdir()) == []


def test_a_put_that_was_killed_is_swept_by_a_later_one(store: FolderStore, folder: Path, tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, pathlib; from nexus_release.adapters import store;"
        "store._sync = lambda _: os.kill(os.getpid(), signal.SIGKILL);"
        "store.FolderStore(pathlib.Path(sys.argv[1])).put(pathlib.Path(sys.argv[2]))"
    )
    entries = tmp_path / "store" / "sha256"
    killed = subprocess.run([sys.executable, "-c", program, tmp_path / "store", folder], check=False)
    (left,) = entries.iterdir()
    assert killed.returncode == -signal.SIGKILL
    artifact = store.put(folder)
    assert left.exists()  # it is young: its process might be about to lock it
    os.utime(left, (0, 0))
    store.put(folder)
    assert [path.name for path in entries.iterdir()] == [artifact.digest.removeprefix("sha256:")]


def test_a_put_that_goes_on_is_not_swept(store: FolderStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second put in the middle of a first that has run for hours."""
    synced = store_module._sync

    def in_the_middle(copy: Path) -> None:
        monkeypatch.setattr(store_module, "_sync", synced)
        os.utime(copy.parent, (0, 0))
        (folder / "more").write_text("")
        store.put(folder)
        synced(copy)

    monkeypatch.setattr(store_module, "_sync", in_the_middle)
    assert store.get(store.put(folder).digest)


def test_what_has_changed_on_the_disk_is_made_anew_by_a_put(store: FolderStore, folder: Path, tmp_path: Path) -> None:
    artifact = store.put(folder)
    (store.get(artifact.digest) / "a.json").write_text("[]")
    assert store.put(folder) == artifact
    assert (store.get(artifact.digest) / "a.json").read_text() == "{}"
    assert len(list((tmp_path / "store" / "sha256").iterdir())) == 1


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "sha256:../../etc", "sha256:" + "A" * 64, "sha256:" + "0" * 64 + "\n"]
)
def test_what_is_no_digest_is_no_path(store: FolderStore, digest: str) -> None:
    with pytest.raises(BadInput, match="digest"):
        store.get(digest)


def test_a_strict_umask_keeps_nobody_out(store: FolderStore, folder: Path) -> None:
    before = os.umask(0o077)
    try:
        found = store.get(store.put(folder).digest)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (found, found / "sub")} == {0o755}


def test_puts_of_the_same_bytes_at_once_are_one_entry(store: FolderStore, folder: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(store.put, [folder] * 32))
    assert len(made) == 1
    assert len(list((tmp_path / "store" / "sha256").iterdir())) == 1


def test_an_empty_folder_is_an_entry_too(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    artifact = store.put(tmp_path / "empty")
    assert (artifact.files, list(store.get(artifact.digest).iterdir())) == (0, [])
