"""`nexus backup` and `nexus restore`: a real Git remote, MLflow, Redis and store, destroyed and put back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from nexus_release.adapters.databases import SqlitePart
from nexus_release.backup.manifest import PARTS, Manifest
from nexus_release.backup.taking import Named, back_up, put_back
from nexus_release.backup.vault import Vault
from nexus_release.errors import BadInput, Conflict
from nexus_release.record import Record, content_json, release_id
from nexus_release.wiring import backup_parts

from ..support.backups import Commands, Places, flip, mlflow_of, register, true_house
from ..support.command import Nexus
from ..support.remotes import Remote
from ..support.repository import ROOT
from ..support.true_releases import MODEL, World


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> World:
    return true_house(tmp_path_factory.mktemp("house"))


@pytest.fixture
def world(house: World, tmp_path: Path) -> World:
    (tmp_path / "state").mkdir()
    shutil.copytree(house.folder / "work", tmp_path / "state" / "work")
    return World(tmp_path / "state", Remote.copied(house.remote, tmp_path / "state"))


@pytest.fixture
def places(world: World) -> Places:
    return Places(world.folder)


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def again(tmp_path: Path) -> Places:
    (tmp_path / "again").mkdir()
    return Places(tmp_path / "again")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], vault: Path) -> Commands:
    return Commands(Nexus(monkeypatch, capsys), monkeypatch, vault)


@pytest.mark.services
@pytest.mark.timeout(900)  # two MLflow servers start, and everything is verified twice
def test_what_is_destroyed_is_put_back_and_every_link_of_every_release_holds(
    world: World, places: Places, again: Places, commands: Commands, tmp_path: Path
) -> None:
    record = world.record(1)
    with mlflow_of(places.mlflow) as registry:
        assert register(registry, record) == 1
        registry.set_alias(MODEL, "local", 1)
        world.remote.git("update-ref", "refs/heads/somebody-s-branch", world.remote.head)
        refs = world.remote.refs()
        saved = commands.backup(places)
        assert (saved.status, "redis is left away" in saved.err) == (0, True)
    shutil.rmtree(world.folder)

    done = commands.restore(again)
    assert done.status == 0, done.out + done.err
    assert "lies" not in done.out
    restored = Remote.__new__(Remote)
    restored.path = again.folder / "remote.git"
    assert restored.refs() == refs
    assert restored.git("symbolic-ref", "HEAD") == "refs/heads/main"
    with mlflow_of(again.mlflow) as registry:
        copy = registry.copy(MODEL, release_id(record.content))
        assert copy is not None
        assert copy.content == content_json(record.content)
        assert registry.aliases() == {MODEL: {"local": 1}}
        told = commands.verify(again, registry._uri)
        assert told.status == 0, told.out
    assert list(again.folder.rglob(".nexus-restoring-*")) == []


@pytest.mark.services
@pytest.mark.timeout(900)  # two MLflow servers start, and a release lands after each part
@pytest.mark.parametrize(("order", "consistent"), [(PARTS, True), (PARTS[::-1], False)])
def test_a_release_that_lands_while_it_is_saved_is_whole_or_not_there_by_the_order_of_parts(
    world: World,
    places: Places,
    again: Places,
    commands: Commands,
    vault: Path,
    monkeypatch: pytest.MonkeyPatch,
    order: tuple[str, ...],
    consistent: bool,
) -> None:
    """In the other order a commit is saved whose artifact is not."""
    monkeypatch.setattr("nexus_release.backup.taking.PARTS", order)
    seeds = iter(range(2, 20))
    registered: list[Record] = []
    with mlflow_of(places.mlflow) as registry:
        register(registry, world.record(1))

        def meanwhile(line: str) -> None:
            record = world.record(next(seeds))
            register(registry, record)
            world.land(record)
            registered.append(record)

        parts = backup_parts(
            places.connections,
            Named(database=f"sqlite:///{places.mlflow / 'mlflow.db'}", artifacts=places.mlflow / "artifacts"),
        )
        manifest = back_up(Vault(vault), parts, most=None, whole=False, tell=meanwhile)
    assert len(registered) == len(manifest.parts) == 5
    shutil.rmtree(world.folder)
    monkeypatch.undo()
    done = commands.restore(again)
    with mlflow_of(again.mlflow) as registry:
        told = commands.verify(again, registry._uri)
    assert (done.status, told.status) == ((0, 0) if consistent else (done.status, 1)), told.out


def test_a_backup_with_one_changed_byte_is_refused_before_any_place_is_touched(
    places: Places, again: Places, commands: Commands, vault: Path, tmp_path: Path
) -> None:
    assert commands.backup(places, mlflow=False).status == 0
    (manifest,) = (vault / "backups").iterdir()
    bundle = Vault(vault).read().part("git")
    assert bundle is not None
    place = vault / "files" / bundle.files[0].digest[7:9] / bundle.files[0].digest[7:]
    spare = tmp_path / "spare"

    def refused(said: str) -> None:
        done = commands.restore(again, mlflow=False)
        assert (done.status, said in done.err) == (1, True), done.err
        assert again.files() == set()

    for path, harm, said in (
        (place, flip, "the backup's copy of all.bundle"),
        (place, Path.unlink, "and it is gone; take an older backup"),
        (manifest, flip, "the backup's manifest"),
    ):
        shutil.copy(path, spare)
        harm(path)
        refused(said)
        shutil.copy(spare, path)
    assert commands.restore(again, mlflow=False).status == 0


def test_a_dry_run_says_what_would_be_saved_dropped_and_put_back_and_writes_nothing(
    places: Places, again: Places, commands: Commands, vault: Path
) -> None:
    told = commands.backup(places, "--dry-run", "--json", mlflow=False)
    assert told.status == 0, told.err
    assert json.loads(told.out)["saved"].keys() == {"git", "store", "signing"}
    assert not vault.exists()
    assert commands.backup(places, mlflow=False).status == 0
    (first,) = Vault(vault).names()
    told = commands.backup(places, "--dry-run", "--keep", "1", mlflow=False)
    assert f"{first} would be dropped" in told.out
    assert "git        would be saved from" in told.out
    told = commands.restore(again, "--dry-run", "--json", mlflow=False)
    found = json.loads(told.out)
    assert (told.status, found["restored"]) == (0, False)
    assert first.startswith(found["manifest"]["stamp"])
    assert again.files() == set()
    done = json.loads(commands.restore(again, "--json", mlflow=False).out)
    assert (done["restored"], done["verified"]["findings"] != []) == (True, True)
    assert Vault(vault).names() == [first]


def test_a_place_that_is_not_empty_is_left_as_it_is(places: Places, commands: Commands) -> None:
    assert commands.backup(places, mlflow=False).status == 0
    before = places.files()
    for words, said in (
        ((), "store: "),
        (("--without-store",), "git: "),
    ):
        done = commands.restore(places, *words, mlflow=False)
        assert done.status == 2
        assert said in done.err
        assert "nothing is overwritten" in done.err
    lacks = commands.restore(places, "--without-git", "--without-store", "--redis=redis://127.0.0.1:9", mlflow=False)
    assert (lacks.status, "that backup has no such part" in lacks.err) == (2, True)
    assert places.files() == before


@pytest.mark.parametrize("missing", ["store", "artifacts"])
def test_a_folder_that_is_not_there_is_refused_and_not_saved_as_an_empty_one(
    places: Places, commands: Commands, vault: Path, missing: str
) -> None:
    words = [f"--mlflow-artifacts={places.mlflow / 'nowhere'}"] if missing == "artifacts" else []
    if missing == "store":
        shutil.rmtree(places.folder / "work" / "store")
    done = commands.backup(places, *words, mlflow=False)
    assert (done.status, f"{missing}: " in done.err, "no such folder" in done.err) == (2, True, True)
    assert Vault(vault).names() == []


def test_a_log_that_sqlite_would_play_back_into_a_restored_database_is_in_its_way(tmp_path: Path, vault: Path) -> None:
    file = tmp_path / "mlflow.db"
    part = SqlitePart("mlflow", file)
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE runs (id)")
    back_up(Vault(vault), [part], most=None, whole=False, tell=lambda line: None)
    file.rename(tmp_path / "moved.db")
    (tmp_path / "mlflow.db-wal").write_bytes(b"of the database that was here")
    with pytest.raises(BadInput, match=r"mlflow\.db-wal is there; nothing is overwritten"):
        put_back(Vault(vault), [part], "", lambda line: None)
    assert not file.exists()


@pytest.mark.parametrize(
    "words",
    [
        "--mlflow-database=postgresql://mlflow:sec#ret@127.0.0.1/mlflow",
        "--mlflow-users=postgresql://mlflow:7/secret@127.0.0.1/mlflow",
        "--mlflow-database=postgresql://mlflow:x@127.0.0.1/mlflow?sslmode=require&password=secret",
        "--redis=redis://:sec#ret@127.0.0.1/0",
        "--redis=redis+sentinel://:secret@127.0.0.1/mymaster/0",
    ],
)
def test_an_address_that_cannot_be_taken_at_its_word_is_refused_without_a_word_of_its_password(
    places: Places, commands: Commands, words: str
) -> None:
    done = commands.backup(places, words, mlflow=False)
    assert (done.status, "is refused" in done.err, "sec" in done.err + done.out) == (2, True, False)


def test_a_second_backup_writes_what_is_new_and_old_ones_go_with_their_files(
    world: World, places: Places, again: Places, commands: Commands, vault: Path
) -> None:
    def pool() -> dict[str, int]:
        return {path.name: path.stat().st_size for path in (vault / "files").glob("*/*")}

    assert commands.backup(places, mlflow=False).status == 0
    first = pool()
    world.land(world.record(2))
    second = Manifest.model_validate_json(commands.backup(places, "--json", mlflow=False).out)
    assert sum(pool().values()) - sum(first.values()) < 4 << 20, "the first release's 1.5 MiB are there once"
    assert commands.backup(places, "--keep", "1", mlflow=False).status == 0
    assert len(list((vault / "backups").iterdir())) == 1
    store = second.part("store")
    assert store is not None
    assert {file.digest[7:] for file in store.files} <= pool().keys()
    assert set(first) - set(pool()), "the first bundle is named by nobody"
    assert commands.restore(again, mlflow=False).status == 0
    assert commands.restore(again, "--at", "19700101", mlflow=False).status == 1
    assert commands.backup(places, "--without-git", "--without-store", mlflow=False).status == 2, "of nothing"


def test_what_has_been_saved_is_read_again_where_that_is_asked(
    places: Places, again: Places, commands: Commands, vault: Path
) -> None:
    """A byte of the backup that changed is mended by a backup that reads all."""
    assert commands.backup(places, mlflow=False).status == 0
    store = Vault(vault).read().part("store")
    assert store is not None
    largest = max(store.files, key=lambda file: file.bytes)
    flip(vault / "files" / largest.digest[7:9] / largest.digest[7:])
    assert commands.backup(places, mlflow=False).status == 0
    assert commands.restore(again, mlflow=False).status == 1
    assert commands.backup(places, "--whole", mlflow=False).status == 0
    assert commands.restore(again, mlflow=False).status == 0


def test_an_entry_that_is_not_what_its_name_says_is_left_out_and_all_else_is_saved(
    world: World, places: Places, again: Places, commands: Commands
) -> None:
    entry = world.store.get(world.record(1).content.artifact.digest)
    flip(entry / "model.safetensors")
    done = commands.backup(places, mlflow=False)
    assert done.status == 1
    assert f"store: {entry} is not what its name says" in done.err
    restored = commands.restore(again, mlflow=False)
    assert restored.status == 0, restored.out
    assert "this store does not hold it" in restored.out


def test_a_backup_that_is_killed_is_none_and_the_next_one_is_whole(
    places: Places, again: Places, commands: Commands, vault: Path, tmp_path: Path
) -> None:
    """When all is copied, and what makes a backup of it is not yet there."""
    schedule = tmp_path / "schedule.json"
    schedule.write_text(json.dumps({"world": str(tmp_path), "kills": {"backup": [r".* backups/backups"]}}))
    dying = [sys.executable, "-m", "tests.chaos.dying_nexus", str(schedule), "backup", "--to", str(vault)]
    environment = {**os.environ, **places.environment, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run(dying, env=environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list(vault.glob("files/*/*"))
    (vault / "files" / ".saving-left").write_text("half a file")
    refused = commands.restore(again, mlflow=False)
    assert (refused.status, "no backup at all" in refused.err) == (1, True)
    with Vault(vault).alone(), pytest.raises(Conflict, match="another backup is being written"), Vault(vault).alone():
        raise AssertionError("never two at once")
    assert commands.backup(places, mlflow=False).status == 0
    assert list((vault / "files").glob(".saving-*")) == []
    assert commands.restore(again, mlflow=False).status == 0
    assert (again.folder / "work" / "signing" / "key.pub.pem").exists()
    assert not (again.folder / "work" / "signing" / "key.pem").exists(), "no private key is ever saved"
