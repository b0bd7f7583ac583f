"""Several processes behind one port: one gateway to clients, to Prometheus, and to whoever stops it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from nexus_gateway.telemetry.merged import Figures, add
from nexus_release.local.free_ports import free_port

from ..support.gateway import BIN, PLAIN, Gateway, direct, until, write_routes
from ..support.redis_server import RedisServer
from ..support.upstream import Engine


def start(folder: Path, engine: Engine, workers: int, *flags: str, env: dict[str, str] | None = None) -> Gateway:
    routes = write_routes(folder / "routes", {name: direct(name, engine.url(name)) for name in ("ok", "gated")})
    return Gateway(folder, "--routes", str(routes), "--workers", str(workers), *flags, env=env)


@pytest.fixture
def three(engine: Engine, tmp_path: Path) -> Iterator[Gateway]:
    running = start(tmp_path, engine, 3).wait()
    until(lambda: len(pids(running)) == 3, "all three answer")
    yield running
    assert running.stop() == 0


def pids(gateway: Gateway) -> list[int]:
    return [worker["pid"] for worker in gateway.config()["workers"]]


def metric(gateway: Gateway, name: str, labels: str = "") -> float:
    found = re.search(rf"^{name}{re.escape(labels)} (\S+)$", gateway.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


ANSWERED = '{method="POST",path="/v1/chat/completions",status="200"}'


def counted(gateway: Gateway, requests: int) -> None:
    """A worker that is too busy to answer a scrape is counted as it was a moment before."""
    until(lambda: metric(gateway, "gateway_requests_total", ANSWERED) == requests, f"{requests} are counted")


def test_a_scrape_of_any_of_them_counts_what_all_have_done(three: Gateway) -> None:
    seen = set()
    for number in range(30):  # each request and each scrape is a new connection, and so any of the three
        assert three.ask("ok").status_code == 200
        counted(three, number + 1)
        seen.add(httpx.get(f"{three.url}/metrics", timeout=30, verify=PLAIN).text.count("gateway_config_info{"))
    assert seen == {1}, "all serve the same revision"
    assert metric(three, "gateway_workers", '{state="answering"}') == 3
    text = three.get("/metrics").text
    count = re.search(r'^gateway_request_latency_seconds_count\{method="POST".*\} (\S+)$', text, re.MULTILINE)
    assert count is not None
    assert float(count[1]) == 30


def test_one_that_is_killed_is_replaced_and_what_it_counted_stays(three: Gateway) -> None:
    for _ in range(20):
        three.ask("ok")
    counted(three, 20)
    victim = pids(three)[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(pids(three)) == 3 and victim not in pids(three), "another has taken its place")
    counted(three, 20)
    assert metric(three, "gateway_worker_restarts_total") == 1

    def told() -> list[tuple[int, int]]:
        ended = [line for line in three.lines() if line["message"].startswith("worker has ended")]
        return [(line["pid"], line["exit_status"]) for line in ended]

    until(told, "it is told")
    assert told() == [(victim, -signal.SIGKILL)]
    assert three.ask("ok").status_code == 200


def test_a_kill_under_load_costs_no_more_than_what_that_process_carried(three: Gateway) -> None:
    """Each client keeps one connection, so that a kill can break one request of each client of that process."""
    ended, failures, answers = threading.Event(), [], []

    def client(_: int) -> None:
        with httpx.Client(headers={"authorization": "Bearer dev-key"}, timeout=30) as http:
            while not ended.is_set():
                try:
                    body = {"model": "ok", "messages": []}
                    answers.append(http.post(f"{three.url}/v1/chat/completions", json=body).status_code)
                except httpx.TransportError as error:
                    failures.append(error)

    with ThreadPoolExecutor(6) as pool:
        clients = [pool.submit(client, number) for number in range(6)]
        until(lambda: len(answers) > 60, "load")
        victim = pids(three)[-1]
        os.kill(victim, signal.SIGKILL)
        until(lambda: victim not in pids(three) and len(pids(three)) == 3, "it is replaced")
        so_far = len(answers)
        until(lambda: len(answers) > so_far + 60, "more load")
        ended.set()
        for one in clients:
            one.result(30)
    assert set(answers) == {200}
    assert len(failures) <= 6


def test_one_that_hangs_is_counted_as_it_was_and_named_silent(three: Gateway) -> None:
    for _ in range(12):
        three.ask("ok")
    counted(three, 12)
    before = 12.0
    victim = pids(three)[0]
    os.kill(victim, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(8) as pool:  # some go to the one that hangs, and wait for it

            def silent() -> list[str]:
                """Not where another is too busy to answer just now."""
                texts = pool.map(_scrape, [three] * 8)
                return [text for text in texts if 'gateway_workers{state="silent"} 1.0' in text]

            found = until(silent, "it is named silent")
    finally:
        os.kill(victim, signal.SIGCONT)
    for text in found:
        assert f"gateway_requests_total{ANSWERED} {before}" in text
    until(lambda: metric(three, "gateway_workers", '{state="silent"}') == 0, "it answers again")


def _scrape(gateway: Gateway) -> str:
    try:
        return httpx.get(f"{gateway.url}/metrics", timeout=4, verify=PLAIN).text
    except httpx.TimeoutException:
        return ""


def test_new_routes_are_taken_by_all_and_a_disagreement_shows(three: Gateway, tmp_path: Path) -> None:
    before = {worker["revision"] for worker in three.config()["workers"]}
    write_routes(tmp_path / "routes", {"new": direct("new", "mock://local")})

    def revisions() -> list[str]:
        return [worker["revision"] for worker in three.config()["workers"]]

    def taken_by_all() -> bool:
        found = revisions()  # one that is too busy to answer is not among them
        return len(found) == 3 and len(set(found)) == 1 and set(found) != before

    until(taken_by_all, "all have the new ones")
    assert {three.ask("new").status_code for _ in range(12)} == {200}


def test_workers_end_with_a_supervisor_that_is_killed_and_leave_its_port(engine: Engine, tmp_path: Path) -> None:
    gateway = start(tmp_path, engine, 2).wait()
    gateway.process.kill()
    gateway.process.wait(10)

    def free() -> bool:
        try:
            with socket.create_server(("127.0.0.1", gateway.port)):
                return True
        except OSError:
            return False

    until(free, "the port is free for the next one")


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Nearer to the root than pytest's own, since a socket's path has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="nexus-") as folder:
        yield Path(folder)


def test_what_a_worker_counted_cannot_be_kept_and_the_others_serve_on(
    engine: Engine, tmp_path: Path, temporary: Path
) -> None:
    """Somebody has cleaned the temporary folder."""
    gateway = start(tmp_path, engine, 2, env={"TMPDIR": str(temporary)}).wait()
    until(lambda: len(pids(gateway)) == 2, "both answer")
    victim = pids(gateway)[0]
    next(temporary.glob("nexus-gateway-*")).rename(temporary / "cleaned")  # in one step: they write into it
    os.kill(victim, signal.SIGKILL)
    lost = "what the worker counted is lost"
    until(lambda: [line for line in gateway.lines() if line["message"].startswith(lost)], "it is told")
    assert gateway.ask("ok").status_code == 200
    assert gateway.process.poll() is None
    gateway.process.kill()
    gateway.process.wait(10)


def test_a_temporary_folder_too_deep_for_a_socket_is_refused_with_its_mend(temporary: Path) -> None:
    deep = temporary / ("deep" * 20)
    deep.mkdir()
    environment = {
        "TMPDIR": str(deep),
        "GATEWAY_UPSTREAMS": "m=mock://local",
        "GATEWAY_REDIS_URL": "redis://127.0.0.1:9",
    }
    words = [str(BIN / "nexus-gateway"), "serve", "--workers", "2", "--port", str(free_port())]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"TMPDIR: {deep}: too long for a socket's path: name a shorter folder" in done.stderr


def test_a_bad_start_is_told_once_and_ends_with_2(engine: Engine, tmp_path: Path) -> None:
    write_routes(tmp_path / "bad", {"chat": {"routes": {"chat": {"strategy": "direct", "upstream": "none"}}}})
    bad = Gateway(tmp_path, "--routes", str(tmp_path / "bad"), "--workers", "3")
    assert bad.process.wait(60) == 2
    assert bad.log.read_text().count("upstream 'none'") == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken_is_told_by_the_option_s_name(tmp_path: Path, workers: str) -> None:
    routes = write_routes(tmp_path, {"ok": direct("ok", "mock://local")})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [str(BIN / "nexus-gateway"), "serve", "--routes", str(routes), "--port", port, "--workers", workers]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert f"--port {port}: Address already in use" in ended.stderr


def test_lines_of_all_of_them_are_whole(engine: Engine, tmp_path: Path) -> None:
    gateway = start(tmp_path, engine, 3).wait()
    until(lambda: len(pids(gateway)) == 3, "all three answer")
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(gateway.ask, "ok", user="u" * 3000) for _ in range(240)]
        assert {one.result().status_code for one in asked} == {200}
    assert gateway.stop() == 0
    lines = [json.loads(line) for line in gateway.log.read_text().splitlines()]
    assert sum(line["message"] == "request" and line["path"] == "/v1/chat/completions" for line in lines) == 240
    assert sum(line["message"] == "stopped" for line in lines) == 3


def test_with_redis_the_limit_is_one_for_all_of_them(engine: Engine, tmp_path: Path) -> None:
    redis = RedisServer(tmp_path).start()
    try:
        document: dict[str, Any] = direct("ok", engine.url("ok"))
        document["policies"] = {"dev-key": {"requests_per_minute": 10}}
        routes = write_routes(tmp_path / "routes", {"ok": document})
        env = {"GATEWAY_REDIS_URL": redis.url, "GATEWAY_REDIS_DEADLINE_SECONDS": "60"}
        gateway = Gateway(tmp_path, "--routes", str(routes), "--workers", "3", env=env).wait()
        until(lambda: len(pids(gateway)) == 3, "all three answer")
        statuses = [gateway.ask("ok").status_code for _ in range(30)]
        assert statuses.count(200) == 10
        assert set(statuses) == {200, 429}
        assert gateway.stop() == 0
        assert not [line for line in gateway.lines() if "workers alone" in line["message"]]
    finally:
        redis.kill()


def test_without_redis_it_is_said_that_each_counts_for_itself(engine: Engine, tmp_path: Path) -> None:
    document: dict[str, Any] = direct("ok", engine.url("ok"))
    document["policies"] = {"dev-key": {"requests_per_minute": 10}}
    routes = write_routes(tmp_path / "routes", {"ok": document})
    gateway = Gateway(tmp_path, "--routes", str(routes), "--workers", "2").wait()
    statuses = [gateway.ask("ok").status_code for _ in range(40)]
    assert 10 <= statuses.count(200) <= 20
    assert gateway.stop() == 0
    assert [
        line for line in gateway.lines() if "limits and idempotency keys hold for each of 2 workers" in line["message"]
    ]


def test_figures_are_added_and_gauges_by_their_own_rule() -> None:
    one: Figures = {
        "gateway_requests": [("gateway_requests_total", [["method", "POST"]], 2.0)],
        "gateway_in_flight_requests": [("gateway_in_flight_requests", [], 3.0)],
        "gateway_loop_lag_seconds": [("gateway_loop_lag_seconds", [], 0.5)],
    }
    other: Figures = {
        "gateway_requests": [("gateway_requests_total", [["method", "GET"]], 1.0)],
        "gateway_in_flight_requests": [("gateway_in_flight_requests", [], 4.0)],
        "gateway_loop_lag_seconds": [("gateway_loop_lag_seconds", [], 0.2)],
    }
    found = add([one, other])
    assert found["gateway_in_flight_requests"][0][2] == 7.0
    assert found["gateway_loop_lag_seconds"][0][2] == 0.5
    assert sorted(value for *_, value in found["gateway_requests"]) == [1.0, 2.0]
    assert set(add([one, other], gauges=False)) == {"gateway_requests"}


def asked(url: str, method: str = "GET", **more: Any) -> httpx.Response:
    return httpx.request(method, url, timeout=30, verify=PLAIN, **more)


def test_the_admin_port_has_the_operators_pages_and_the_public_one_has_not(engine: Engine, tmp_path: Path) -> None:
    admin = free_port()
    for workers in (1, 2):
        gateway = start(tmp_path, engine, workers, "--admin-port", str(admin)).wait()
        inside = f"http://127.0.0.1:{admin}"
        key = {"authorization": "Bearer dev-key"}
        for path in ("/metrics", "/admin/config", "/v1/circuit-breakers", "/openapi.json"):
            public, own = (asked(url + path, headers=key) for url in (gateway.url, inside))
            assert (public.status_code, public.json()["error"]["code"]) == (404, "page_not_found"), path
            assert own.status_code == 200, path
        assert asked(f"{inside}/admin/config").status_code == 401, "the scope is still wanted"
        for path in ("/health", "/ready"):
            assert {asked(url + path).status_code for url in (gateway.url, inside)} == {200}
        assert gateway.ask("ok").status_code == 200
        assert gateway.get("/v1/models").status_code == 200
        assert asked(f"{inside}/v1/chat/completions", "POST", headers=key, json={}).status_code == 404
        assert gateway.stop() == 0
