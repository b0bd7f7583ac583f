"""Service to service: an engine's certificate is proved, ours is shown to it alone, and so is its token."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..support.gateway import BIN, Gateway, code, write_routes
from ..support.tls import Authority, TlsEngine, speaking_tls
from ..support.upstream import Engine

TOKEN = "upstream-secret-token"


def routes_of(folder: Path, **upstreams: dict[str, Any]) -> str:
    routes = {name: {"strategy": "direct", "upstream": name} for name in upstreams}
    return str(write_routes(folder / "routes", {"all": {"upstreams": upstreams, "routes": routes}}))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "theirs")


@pytest.fixture(scope="module")
def strict(ours: Authority) -> Iterator[TlsEngine]:
    """Wants a certificate of its clients."""
    with speaking_tls(*ours.certificate("engine"), clients=ours.ca) as engine:
        yield engine


@pytest.fixture(scope="module")
def gateway(
    ours: Authority, theirs: Authority, strict: TlsEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("mutual")
    certificate, key = map(str, ours.certificate("gateway"))
    stranger, stranger_key = map(str, theirs.certificate("stranger"))
    ca = str(ours.ca)
    with speaking_tls(*ours.certificate("elsewhere", "127.0.0.2")) as misnamed:
        routes = routes_of(
            folder,
            mutual={"url": strict.url, "tls": {"ca": ca, "certificate": certificate, "key": key}},
            bare={"url": strict.url, "tls": {"ca": ca}},
            stranger={"url": strict.url, "tls": {"ca": ca, "certificate": stranger, "key": stranger_key}},
            untrusted={"url": strict.url, "tls": {"ca": str(theirs.ca), "certificate": certificate, "key": key}},
            system={"url": strict.url, "tls": {"certificate": certificate, "key": key}},
            misnamed={"url": misnamed.url, "tls": {"ca": ca}},
        )
        running = Gateway(folder, "--routes", routes).wait()
        yield running
        assert running.stop() == 0


def test_an_engine_that_wants_our_certificate_gets_it(gateway: Gateway) -> None:
    assert gateway.ask("mutual").status_code == 200


@pytest.mark.parametrize("model", ["bare", "stranger", "untrusted", "system", "misnamed"])
def test_without_the_right_certificates_on_both_sides_nothing_is_sent(
    gateway: Gateway, strict: TlsEngine, model: str
) -> None:
    before = len(strict.seen)
    answer = gateway.ask(model)
    assert (answer.status_code, code(answer)) == (502, "upstream_failed")
    assert "127.0.0" not in answer.text
    assert len(strict.seen) == before


def test_a_certificate_that_is_not_there_is_refused_at_the_start(tmp_path: Path) -> None:
    tls = {"certificate": str(tmp_path / "none.pem"), "key": str(tmp_path / "none.key")}
    gateway = Gateway(tmp_path, "--routes", routes_of(tmp_path, chat={"url": "https://127.0.0.1:1", "tls": tls}))
    assert gateway.process.wait(60) == 2
    assert "upstreams.chat.tls: No such file" in gateway.log.read_text()


def test_a_token_goes_to_its_upstream_and_to_nobody_else(tmp_path: Path, engine: Engine) -> None:
    routes = routes_of(
        tmp_path,
        ok={"url": engine.url("ok"), "credential_env": "ENGINE_TOKEN"},
        plain={"url": engine.url("split")},
    )
    gateway = Gateway(tmp_path, "--routes", routes, env={"ENGINE_TOKEN": TOKEN}).wait()
    assert gateway.ask("ok").status_code == 200
    assert engine.of("ok")[-1].headers["authorization"] == f"Bearer {TOKEN}"
    gateway.ask("plain", stream=True)
    assert "authorization" not in engine.of("split")[-1].headers
    shown = gateway.get("/admin/config").text + gateway.get("/metrics").text
    assert gateway.stop() == 0
    assert TOKEN not in shown + gateway.log.read_text()


def test_a_token_that_is_not_set_is_refused_by_the_gateway_and_not_by_a_check_of_files(tmp_path: Path) -> None:
    routes = routes_of(tmp_path, chat={"url": "http://127.0.0.1:1", "credential_env": "NO_SUCH_TOKEN"})
    gateway = Gateway(tmp_path, "--routes", routes)
    assert gateway.process.wait(60) == 2
    assert "upstreams.chat.credential_env: NO_SUCH_TOKEN is not set" in gateway.log.read_text()
    assert subprocess.run([str(BIN / "nexus-gateway"), "check", routes], capture_output=True).returncode == 0
