"""Configuration: whole or not at all, swapped under load, the last good one kept."""

from __future__ import annotations

import gc
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nexus_gateway import served as served_module
from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.garbage_collection import LARGE
from nexus_gateway.served import Watcher, first
from nexus_gateway.snapshot import Snapshot, Source, build, load, revision
from nexus_release.revisions import routes_revision

from ..support.gateway import BIN, OTHER, RELEASE, Gateway, direct, until, write_routes
from ..support.repository import ROOT
from ..support.upstream import Engine


def test_the_release_side_computes_the_same_revision() -> None:
    for files in ({}, {"a.yaml": b"x: 1\n"}, {"b.yaml": b"", "a.yaml": b"x: 1\n"}, {"é.yaml": bytes(range(256))}):
        assert revision(files) == routes_revision(files)


def test_a_name_or_a_border_that_moves_changes_the_revision() -> None:
    assert len({revision(f) for f in ({"a": b"bc"}, {"ab": b"c"}, {"a": b"b", "c": b""}, {"a": b"", "bc": b""})}) == 4


BAD: dict[str, tuple[Any, str]] = {
    "unknown key": ({**direct("chat", "mock://local"), "extra": 1}, "extra"),
    "unknown upstream": ({"routes": {"chat": {"strategy": "direct", "upstream": "gone"}}}, "'gone'"),
    "unknown strategy": ({"routes": {"chat": {"strategy": "magic"}}}, "routes.chat"),
    "weights": (
        {
            "upstreams": {"a": {"url": "mock://local"}},
            "routes": {"chat": {"strategy": "weighted", "targets": [{"upstream": "a", "weight": 90}]}},
        },
        "add up to 90",
    ),
    "percent": (
        {
            "upstreams": {"a": {"url": "mock://local"}},
            "routes": {"chat": {"strategy": "canary", "primary": "a", "canary": "a", "percent": 101}},
        },
        "percent",
    ),
    "url and endpoints": (
        {"upstreams": {"a": {"url": "mock://local", "endpoints": ["mock://local"]}}},
        "either url or endpoints",
    ),
    "an endpoint twice": ({"upstreams": {"a": {"endpoints": ["http://h", "http://h"]}}}, "stands twice"),
    "fallback that is no route": (
        {
            "upstreams": {"a": {"url": "mock://local"}},
            "routes": {"chat": {"strategy": "direct", "upstream": "a", "fallbacks": ["none"]}},
        },
        "routes.chat.fallbacks: 'none' is no route",
    ),
    "fallbacks in a circle": (
        {
            "upstreams": {"a": {"url": "mock://local"}},
            "routes": {
                "x": {"strategy": "direct", "upstream": "a", "fallbacks": ["y"]},
                "y": {"strategy": "direct", "upstream": "a", "fallbacks": ["z"]},
                "z": {"strategy": "direct", "upstream": "a", "fallbacks": ["x"]},
            },
        },
        "x -> y -> z -> x",
    ),
    "default that is no upstream": ({"upstreams": {}, "default": "a"}, "routes.default: upstream 'a'"),
    "match that leads nowhere": (
        {
            "upstreams": {"a": {"url": "mock://local"}},
            "routes": {
                "chat": {
                    "strategy": "direct",
                    "upstream": "a",
                    "match": [{"header": "x-lane", "value": "b", "upstream": "b"}],
                }
            },
        },
        "upstream 'b'",
    ),
    "header in capitals": (
        {
            "upstreams": {"a": {"url": "mock://local"}},
            "routes": {
                "chat": {
                    "strategy": "direct",
                    "upstream": "a",
                    "match": [{"header": "X-Lane", "value": "b", "upstream": "a"}],
                }
            },
        },
        "header",
    ),
    "certificate without its key": (
        {"upstreams": {"a": {"url": "https://h", "tls": {"certificate": "c.pem"}}}},
        "certificate and key go together",
    ),
    "policy without a limit": ({"policies": {"team": {"requests_per_minute": 0}}}, "policies.team"),
    "negative deadline": (direct("chat", "mock://local", chunk_seconds=-1), "chunk_seconds"),
    "scheme": (direct("chat", "ftp://host"), "ftp://host"),
    "credential in an address": (direct("chat", "http://user:secret@host"), "credentials"),
    "release": (direct("chat", "mock://local", release="latest"), "release"),
    "a list": ([], "whole file"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_routes_are_refused_with_file_and_place(tmp_path: Path, name: str) -> None:
    document, named = BAD[name]
    (tmp_path / "chat.yaml").write_text(json.dumps(document))
    done = subprocess.run([str(BIN / "nexus-gateway"), "check", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2
    assert named in done.stderr


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("routes: [", "no YAML"),
        ("routes: {}\nroutes: {}\n", "stands twice"),
        ("a: &a [1]\nb: *a\n", "aliases"),
        ("!!python/object/apply:os.system ['true']", "no YAML"),
        ("\x00", "no YAML"),
    ],
)
def test_yaml_that_hides_something_is_refused(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "chat.yaml").write_text(text)
    done = subprocess.run([str(BIN / "nexus-gateway"), "check", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2
    assert "chat.yaml" in done.stderr
    assert named in done.stderr


def test_the_same_model_in_two_files_is_refused(tmp_path: Path) -> None:
    write_routes(tmp_path, {"a": direct("chat", "mock://local"), "b": direct("chat", "mock://fail")})
    done = subprocess.run([str(BIN / "nexus-gateway"), "check", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2
    assert "b.yaml: upstreams.chat-1: another file has it too" in done.stderr


def test_check_prints_the_revision_that_serve_answers(tmp_path: Path) -> None:
    routes = write_routes(tmp_path / "routes", {"chat": direct("chat", "mock://local")})
    said = subprocess.run([str(BIN / "nexus-gateway"), "check", str(routes), "--json"], capture_output=True, text=True)
    gateway = Gateway(tmp_path, "--routes", str(routes)).wait()
    assert gateway.ask().headers["x-nexus-revision"] == json.loads(said.stdout)["revision"]
    assert gateway.stop() == 0


def test_the_committed_schema_takes_what_the_gateway_takes() -> None:
    schema = json.loads((ROOT / "gateway" / "routes.schema.json").read_text())
    jsonschema.validate(direct("chat", "mock://local", first_byte_seconds=1), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(BAD["unknown key"][0], schema)


def test_a_bad_file_never_replaces_a_good_one_nor_after_a_restart(tmp_path: Path) -> None:
    routes = write_routes(tmp_path / "routes", {"chat": direct("chat", "mock://local")})
    flags = ("--routes", str(routes), "--state", str(tmp_path / "state"))
    gateway = Gateway(tmp_path, *flags).wait()
    good = gateway.config()["revision"]
    (routes / "chat.yaml").write_text("routes: {chat: {strategy: magic}}")
    refusal = until(lambda: gateway.config()["refusal"], "the bad file is refused")
    assert "chat.yaml: routes.chat" in refusal["reason"]
    assert "gateway_config_refused 1.0" in gateway.get("/metrics").text
    assert (gateway.ask().status_code, gateway.config()["revision"]) == (200, good)
    assert gateway.stop() == 0
    told = [line for line in gateway.lines() if line["message"].startswith("configuration refused")]
    assert [(line["level"], "chat.yaml: routes.chat" in line["reason"]) for line in told] == [("error", True)]

    again = Gateway(tmp_path, *flags).wait()
    assert (again.ask().status_code, again.config()["revision"]) == (200, good)
    assert "routes.chat" in again.config()["refusal"]["reason"]
    write_routes(routes, {"chat": direct("chat", "mock://local", OTHER)})
    until(lambda: again.config()["refusal"] is None, "the mended file is taken")
    assert again.ask().headers["x-nexus-release"] == OTHER
    assert again.stop() == 0


def test_a_bad_file_at_the_first_start_stops_it(tmp_path: Path) -> None:
    write_routes(tmp_path / "routes", {"chat": BAD["unknown key"][0]})
    gateway = Gateway(tmp_path, "--routes", str(tmp_path / "routes"))
    assert gateway.process.wait(60) == 2


def test_routes_from_two_places_stop_the_start(tmp_path: Path) -> None:
    routes = write_routes(tmp_path / "routes", {"chat": direct("chat", "mock://local")})
    gateway = Gateway(tmp_path, "--routes", str(routes), env={"GATEWAY_UPSTREAMS": "a=mock://local"})
    assert gateway.process.wait(60) == 2
    assert "both give routes" in gateway.log.read_text()


def test_a_swap_as_the_kubelet_makes_it_is_noticed(tmp_path: Path) -> None:
    """`routes/chat.yaml -> ..data/chat.yaml`, `..data -> ..1`, and `..data` is replaced by a rename."""
    for number, release in enumerate((RELEASE, OTHER)):
        write_routes(tmp_path / f"..{number}", {"chat": direct("chat", "mock://local", release)})
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "..data").symlink_to(tmp_path / "..0")
    (mount / "chat.yaml").symlink_to("..data/chat.yaml")
    gateway = Gateway(tmp_path, "--routes", str(mount)).wait()
    assert gateway.ask().headers["x-nexus-release"] == RELEASE
    (mount / "..fresh").symlink_to(tmp_path / "..1")
    (mount / "..fresh").rename(mount / "..data")
    until(lambda: gateway.ask().headers["x-nexus-release"] == OTHER, "the new release answers")
    assert gateway.stop() == 0


def test_a_file_that_has_not_changed_is_not_parsed_again(tmp_path: Path) -> None:
    """Of thousands of files that would take seconds, and hold requests up."""
    folder = write_routes(tmp_path, {name: direct(name, "mock://local") for name in ("a", "b")})
    source = Source(folder, None, 10.0)
    before = load(source)
    write_routes(folder, {"b": direct("b", "mock://fail"), "c": direct("c", "mock://local")})
    after = load(source, before)
    assert after.tables["a.yaml"] is before.tables["a.yaml"]
    assert after.table.upstreams["b-1"].endpoints[0].url == "mock://fail"
    assert (after.revision, sorted(after.table.routes)) == (load(source).revision, ["a", "b", "c"])


def test_a_large_configuration_is_nothing_for_the_collector_to_walk_over(tmp_path: Path) -> None:
    files = {f"m{number}.yaml": json.dumps(direct(f"m{number}", "mock://local")).encode() for number in range(LARGE)}
    kept = gc.get_freeze_count()
    try:
        snapshot = build(files, {}, 10.0)
        assert len(snapshot.table.routes) == LARGE
        assert gc.get_freeze_count() > kept + 5 * LARGE
        assert gc.isenabled()
        with pytest.raises(ConfigRefused):
            build({**files, "bad.yaml": b"x: 1"}, {}, 10.0)
        assert gc.isenabled(), "also after a refusal"
    finally:
        gc.unfreeze()


def test_swaps_under_load_lose_no_request_and_every_header_names_what_answered(tmp_path: Path, engine: Engine) -> None:
    """Two configurations, one by one engine each; an answer's revision and release must belong together."""
    made = {
        RELEASE: write_routes(tmp_path / "a", {"chat": direct("chat", engine.url("ok"), RELEASE)}),
        OTHER: write_routes(tmp_path / "b", {"chat": direct("chat", engine.url("other"), OTHER)}),
    }
    behaviour = {RELEASE: "ok", OTHER: "other"}
    revisions = {revision({"chat.yaml": (f / "chat.yaml").read_bytes()}): release for release, f in made.items()}
    link = tmp_path / "routes"
    link.symlink_to(made[RELEASE])
    gateway = Gateway(tmp_path, "--routes", str(link)).wait()
    wrong: list[str] = []
    stop = threading.Event()

    def load(worker: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            answer = gateway.ask(headers={"x-request-id": f"{worker}-{number}"})
            said = (answer.headers.get("x-nexus-revision"), answer.headers.get("x-nexus-release"))
            if answer.status_code != 200 or revisions.get(said[0] or "") != said[1]:
                wrong.append(f"{answer.status_code} {said}")
            asked[f"{worker}-{number}"] = said[1] or ""

    asked: dict[str, str] = {}
    workers = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for number in range(20):
        wanted = (OTHER, RELEASE)[number % 2]
        fresh = tmp_path / "fresh"
        fresh.symlink_to(made[wanted])
        fresh.rename(link)
        until(lambda wanted=wanted: revisions[gateway.config()["revision"]] == wanted, "the swap is served")  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
    stop.set()
    for worker in workers:
        worker.join()
    assert wrong == []
    answered = {
        seen.headers["x-request-id"]: seen.behaviour for seen in engine.seen if seen.headers["x-request-id"] in asked
    }
    assert {request: behaviour[release] for request, release in asked.items()} == answered
    assert gateway.stop() == 0


def test_addresses_are_resolved_as_the_file_says_and_the_host_stays(tmp_path: Path, engine: Engine) -> None:
    cluster = "http://chat-predictor.nexus.svc.cluster.local/ok"
    resolve = tmp_path / "resolve.json"
    resolve.write_text(json.dumps({"chat-predictor.nexus.svc.cluster.local:80": f"127.0.0.1:{engine.port}"}))
    routes = write_routes(tmp_path / "routes", {"chat": direct("chat", cluster)})
    gateway = Gateway(tmp_path, "--routes", str(routes), "--resolve", str(resolve)).wait()
    assert gateway.ask().status_code == 200
    assert engine.of("ok")[-1].headers["host"] == "chat-predictor.nexus.svc.cluster.local"
    assert gateway.stop() == 0


def test_files_that_are_still_being_written_are_not_taken_yet(tmp_path: Path) -> None:
    """Half of a list of routes is a list of routes, and of two files that belong together one comes first."""
    folder = tmp_path / "routes.d"
    half = "upstreams: {x: {url: mock://local}}\nroutes:\n  a: {strategy: direct, upstream: x}\n"
    whole = half + "  b: {strategy: direct, upstream: x}\n"
    folder.mkdir()
    (folder / "a.yaml").write_text(half)
    source, told = Source(folder, None, 10.0), list[str]()
    served = first(source, None)
    watcher = Watcher(source, served, None, changed=lambda _: None, tell=lambda message, _: told.append(message))
    other = '{"upstreams": {"c": {"url": "mock://local"}}, "routes": {"c": {"strategy": "direct", "upstream": "c"}}}'
    before = served.current
    for name, text in (("a", half + " "), ("a", whole), ("c", "{}"), ("c", other)):
        (folder / f"{name}.yaml").write_text(text)
        watcher.look()
        assert served.current is before, "it was another one at the look before"
    watcher.look()
    assert set(served.current.table.routes) == {"a", "b", "c"}
    assert (served.swaps, served.refusals, told) == (1, 0, [])


def test_what_changes_while_it_is_read_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    routes = tmp_path / "a.yaml"
    routes.write_text(json.dumps(direct("a", "mock://local")))
    source = Source(routes, None, 10.0)
    served = first(source, None)
    watcher = Watcher(source, served, None, changed=lambda _: None, tell=lambda *_: None)
    before, later = served.current, [json.dumps(direct(name, "mock://local")) for name in ("c", "b")]

    def read_slowly(source: Source, last: Snapshot | None = None) -> Snapshot:
        found = load(source, last)
        if later:
            routes.write_text(later.pop())
        return found

    monkeypatch.setattr(served_module, "load", read_slowly)
    routes.write_text(json.dumps(direct("half", "mock://local")))
    for _ in range(4):
        watcher.look()
        assert served.current is before
    for _ in range(2):
        watcher.look()
    assert set(served.current.table.routes) == {"c"}
