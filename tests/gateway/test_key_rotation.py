"""Keys that come, go and expire while the gateway runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from nexus_gateway.cli import gateway as command
from nexus_gateway.key_ring import KeyRing, KeyWatcher
from nexus_gateway.keys import read_keys

from ..support.gateway import Gateway, until, write_routes
from ..support.upstream import Engine


def entry(key: str, **more: Any) -> dict[str, Any]:
    return {"id": key, "digest": "sha256:" + hashlib.sha256(key.encode()).hexdigest(), **more}


def write(path: Path, *entries: dict[str, Any]) -> None:
    """In one step, as an editor or a kubelet does."""
    fresh = path.with_suffix(".new")
    fresh.write_text(yaml.safe_dump({"keys": list(entries)}))
    fresh.replace(path)


@pytest.fixture
def keyed(engine: Engine, tmp_path: Path) -> Iterator[Gateway]:
    document = {
        "upstreams": {"m": {"url": engine.url("ok")}},
        "routes": {"m": {"strategy": "direct", "upstream": "m"}},
        "policies": {"team-a": {"requests_per_minute": 3}},
    }
    write(tmp_path / "keys.yaml", entry("old", tenant="team-a"), entry("late", expires="2020-01-01T00:00:00Z"))
    routes = write_routes(tmp_path / "routes", {"all": document})
    running = Gateway(tmp_path, "--routes", str(routes), "--keys", str(tmp_path / "keys.yaml")).wait()
    yield running
    assert running.stop() == 0


def status(gateway: Gateway, key: str) -> int:
    return gateway.ask("m", headers={"authorization": f"Bearer {key}"}).status_code


def messages(gateway: Gateway) -> list[str]:
    return [line["message"] for line in gateway.lines()]


def test_a_key_is_rotated_by_overlap_and_both_share_one_bucket(keyed: Gateway, tmp_path: Path) -> None:
    assert (status(keyed, "old"), status(keyed, "new")) == (200, 401)
    write(tmp_path / "keys.yaml", entry("old", tenant="team-a"), entry("new", tenant="team-a"))
    until(lambda: "keys taken" in messages(keyed), "the new key is taken")
    assert [status(keyed, key) for key in ("new", "old", "new", "old")] == [200, 200, 429, 429]
    write(tmp_path / "keys.yaml", entry("new", tenant="team-a"))
    until(lambda: messages(keyed).count("keys taken") == 2, "the old key is gone")
    assert (status(keyed, "old"), status(keyed, "new")) == (401, 429)


def test_an_expired_key_opens_nothing(keyed: Gateway, tmp_path: Path) -> None:
    def opens_for(seconds: float) -> datetime:
        """When it ends."""
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        write(tmp_path / "keys.yaml", entry("late", expires=end.isoformat()))
        return end

    assert status(keyed, "late") == 401
    opens_for(3600)
    until(lambda: "keys taken" in messages(keyed), "the key is taken")
    assert status(keyed, "late") == 200
    soon = opens_for(4)
    until(lambda: status(keyed, "late") == 401, "its time is over")
    assert datetime.now(UTC) >= soon


@pytest.mark.parametrize("text", ["keys: [", "keys: 1", "keys: [{id: a}]"])
def test_a_bad_file_takes_no_key_away_and_is_told_once(keyed: Gateway, tmp_path: Path, text: str) -> None:
    (tmp_path / "keys.yaml").write_text(text)
    refused = "keys refused; those from before hold on"
    until(lambda: refused in messages(keyed), "it is told")
    assert status(keyed, "old") == 200
    (tmp_path / "keys.yaml").unlink()
    until(lambda: messages(keyed).count(refused) == 2, "a file that is gone is another reason")
    assert status(keyed, "old") == 200


def test_a_file_that_is_still_being_written_is_not_taken_yet(tmp_path: Path) -> None:
    """Half of a list of keys is a list of keys."""
    path, told = tmp_path / "keys.yaml", list[str]()
    path.write_text(yaml.safe_dump([entry("old")]).replace("- ", "keys:\n- ", 1))
    ring = KeyRing(read_keys(path))
    watcher = KeyWatcher(path, ring, lambda message, _: told.append(message))
    before, both = ring.keys, yaml.safe_dump({"keys": [entry("new"), entry("old")]})
    half = yaml.safe_dump({"keys": [entry("new")]})
    for text in (half, both):
        path.write_text(text)
        watcher.look()
        assert ring.keys is before, "it was another one at the look before"
    watcher.look()
    assert [key.id for key in ring.keys.values()] == ["new", "old"]
    watcher.look()
    assert told == ["keys taken"]


def test_the_entry_that_keys_new_prints_has_tenant_and_expiry(tmp_path: Path) -> None:
    made = CliRunner().invoke(command, ["keys", "new", "--id", "ci", "--tenant", "team-a", "--days", "30"])
    (tmp_path / "keys.yaml").write_text(made.output)
    (key,) = read_keys(tmp_path / "keys.yaml").values()
    assert (key.owner, key.id) == ("team-a", "ci")
    assert key.expires is not None
    left = datetime.fromtimestamp(key.expires, UTC) - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)
