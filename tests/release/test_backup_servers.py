"""Backups of what servers keep: MLflow in Postgres, Redis under a gateway, a Git remote over HTTP."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import psycopg
import pytest
import redis as redis_client

from nexus_release.adapters.databases import PostgresPart
from nexus_release.adapters.git_bundle import GitPart
from nexus_release.backup.taking import back_up, put_back
from nexus_release.backup.vault import Vault
from nexus_release.errors import NexusError, Unreachable
from nexus_release.local.free_ports import free_port
from nexus_release.local.mlflow_server import mlflow_server_program
from nexus_release.local.processes import Program
from nexus_release.record import content_json, release_id

from ..support.backups import Commands, Places, mlflow, register, true_house
from ..support.command import Nexus
from ..support.gateway import Gateway, direct, until, write_routes
from ..support.git_http import serving
from ..support.postgres_server import postgres
from ..support.redis_server import RedisServer, kept
from ..support.remotes import Remote, git
from ..support.true_releases import MODEL, World
from ..support.typed_page import typed
from ..support.upstream import Engine


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


def test_a_postgres_store_is_put_back_in_one_transaction(tmp_path: Path, vault: Path) -> None:
    with postgres("mlflow", "it's:a/secret", "mlflow") as port:
        uri = f"postgresql+psycopg2://mlflow:it%27s%3Aa%2Fsecret@127.0.0.1:{port}/mlflow"
        connect = {"host": "127.0.0.1", "port": port, "user": "mlflow", "password": "it's:a/secret"}
        with psycopg.connect(**connect, dbname="mlflow", autocommit=True) as connection:  # type: ignore[arg-type,unused-ignore]  # a test's words
            connection.execute("CREATE TABLE runs (id int PRIMARY KEY, name text)")
            connection.execute("INSERT INTO runs SELECT n, 'run ' || n FROM generate_series(1, 1000) n")
            connection.execute("CREATE DATABASE again")
        part = PostgresPart("mlflow", uri)
        back_up(Vault(vault), [part], most=None, whole=False, tell=lambda line: None)
        assert part.occupied() == "it has 1 tables"
        assert "secret" not in part.place

        target = PostgresPart("mlflow", uri.replace("/mlflow", "/again", 2).replace("//again", "//mlflow"))
        assert target.occupied() == ""
        (saved,) = Vault(vault).read().parts
        with target.staged(saved.files, Vault(vault).fetch) as put:
            put()
        with psycopg.connect(**connect, dbname="again") as connection:  # type: ignore[arg-type,unused-ignore]  # a test's words
            assert connection.execute("SELECT count(*), max(name) FROM runs").fetchone() == (1000, "run 999")
        with target.staged(saved.files, Vault(vault).fetch) as put, pytest.raises(NexusError, match="pg_restore"):
            put()  # what is there already stops it, and nothing of it stays
    with pytest.raises(Unreachable, match="pg_dump"):
        list(part.save(Vault(vault), (), []))


@pytest.mark.services
@pytest.mark.timeout(900)  # two MLflow servers make their tables in Postgres
def test_mlflow_in_postgres_knows_its_releases_again(
    world: World, again: Places, vault: Path, commands: Commands, tmp_path: Path
) -> None:
    record = world.record(1)

    def server(database: int, artifacts: Path) -> tuple[Program, int]:
        port, made = free_port(), mlflow_server_program(artifacts, 0)
        words = (
            *made.argv[: made.argv.index("--backend-store-uri") + 1],
            f"postgresql+psycopg://mlflow:pw@127.0.0.1:{database}/mlflow",
            *("--artifacts-destination", str(artifacts / "artifacts"), "--host", "127.0.0.1"),
            *("--port", str(port), "--workers", "1"),
        )
        return Program(name="mlflow", argv=words, environment=made.environment), port

    places = Places(world.folder)
    with (
        postgres("mlflow", "pw", "mlflow") as database,
        mlflow(*server(database, places.mlflow), tmp_path / "one.log") as registry,
    ):
        register(registry, record)
        uri = f"postgresql://mlflow:pw@127.0.0.1:{database}/mlflow"
        words = (f"--mlflow-database={uri}", f"--mlflow-artifacts={places.mlflow / 'artifacts'}")
        assert commands.backup(places, *words, mlflow=False).status == 0
    with postgres("mlflow", "pw", "mlflow") as database:
        uri = f"postgresql://mlflow:pw@127.0.0.1:{database}/mlflow"
        words = (f"--mlflow-database={uri}", f"--mlflow-artifacts={again.mlflow / 'artifacts'}")
        done = commands.restore(again, *words, mlflow=False)
        assert done.status == 0, done.err
        with mlflow(*server(database, again.mlflow), tmp_path / "two.log") as registry:
            copy = registry.copy(MODEL, release_id(record.content))
            assert copy is not None
            assert copy.content == content_json(record.content)


@pytest.mark.services
def test_what_the_page_says_to_type_saves_every_part_and_puts_git_back(
    tmp_path: Path, places: Places, again: Places, vault: Path
) -> None:
    server, users = RedisServer(tmp_path).start(), tmp_path / "users.db"
    with closing(sqlite3.connect(users)) as database:
        database.execute("CREATE TABLE users (name text)")
    (places.mlflow / "artifacts").mkdir(parents=True)
    try:
        with postgres("mlflow", "pw", "mlflow") as port:
            here = {
                "/mnt/backups": str(vault),
                "mlflow:...@postgres/mlflow": f"mlflow:pw@127.0.0.1:{port}/mlflow",
                "/mlflow/artifacts": str(places.mlflow / "artifacts"),
                "sqlite:////mlflow/users.db": f"sqlite:///{users}",
                "redis://redis:6379/0": server.url,
                "nexus restore": f"NEXUS_REMOTE={again.connections.remote} nexus restore",
            }
            page = "docs/how-to/back-up-and-restore.md"
            typed(__file__, page, here, tmp_path, **places.environment)
    finally:
        server.kill()
    assert git(Path(again.connections.remote), "rev-parse", "main") == git(
        Path(places.connections.remote), "rev-parse", "main"
    )


def once(gateway: Gateway) -> httpx.Response | None:
    return kept(gateway.ask("ok", headers={"idempotency-key": "once"}))


@pytest.mark.services
def test_a_request_that_was_paid_for_is_not_paid_for_again_after_redis_is_put_back(
    tmp_path: Path, places: Places, again: Places, commands: Commands
) -> None:
    engine = Engine().start()
    routes = write_routes(tmp_path / "routes", {"ok": direct("ok", engine.url("ok"))})
    server = RedisServer(tmp_path).start()
    words = ("--without-git", "--without-store")
    (tmp_path / "gateway").mkdir()
    running = Gateway(tmp_path / "gateway", "--routes", str(routes), env={"GATEWAY_REDIS_URL": server.url}).wait()
    try:
        first = until(lambda: once(running), "Redis has kept the answer")
        assert server.keys()
        with redis_client.Redis(port=server.port) as client:
            client.set("soon", "gone", px=1)
            client.set("ever", b"\x00\xff")
            before = {key: client.pttl(key) for key in client.scan_iter() if key != b"soon"}
        saved = commands.backup(places, *words, redis=server.url, mlflow=False)
        assert saved.status == 0, saved.err
        occupied = commands.restore(again, *words, redis=server.url, mlflow=False)
        assert (occupied.status, "FLUSHDB removes them" in occupied.err) == (2, True)

        server.kill()
        server.start()  # empty: it keeps nothing on the disk
        assert commands.restore(again, *words, redis=server.url, mlflow=False).status == 0
        with redis_client.Redis(port=server.port) as client:
            found = {key: client.pttl(key) for key in client.scan_iter()}
            assert client.get("ever") == b"\x00\xff"
        assert found.keys() == before.keys()
        assert all(left == -1 or 0 < found[key] <= left for key, left in before.items()), "each ends when it would have"

        asked = len(engine.of("ok"))
        second = until(lambda: once(running), "Redis answers the gateway again")
        assert second.content == first.content
        assert len(engine.of("ok")) == asked, "the kept answer was given, and the engine not asked"
    finally:
        running.stop()
        server.kill()
        engine.stop()


def test_a_remote_over_http_is_saved_and_put_back_into_an_empty_one(
    world: World, again: Places, vault: Path, tmp_path: Path
) -> None:
    world.remote.git("tag", "kept", "main")
    world.remote.git("update-ref", "refs/pull/1/head", world.remote.head)
    refs = world.remote.refs()
    with serving(world.remote.path) as server:
        back_up(Vault(vault), [GitPart(server.url)], most=None, whole=False, tell=lambda line: None)
        assert GitPart(server.url).occupied() == f"it has {len(refs)} refs"
    empty = tmp_path / "empty.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(empty))
    with serving(empty) as server:
        part = GitPart(server.url)
        assert part.occupied() == ""
        put_back(Vault(vault), [part], "", lambda line: None)
    restored = git(empty, "for-each-ref", "--format=%(refname:short) %(objectname)").split()
    assert dict(zip(restored[::2], restored[1::2], strict=True)) == {
        name: commit for name, commit in refs.items() if not name.startswith("pull/")
    }
    assert git(empty, "rev-parse", "kept") == world.remote.head
