"""The content-addressed store: whole or not at all, and never believed."""

from __future__ import annotations

from pathlib import Path

import pytest

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
