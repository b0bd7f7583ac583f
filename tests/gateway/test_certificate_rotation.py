"""Certificates that are replaced on disk are used for new connections, without any reload of routes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus_gateway.routes_file import TlsFile
from nexus_gateway.upstreams.certificates import Certificates

from ..support.gateway import Gateway, until, write_routes
from ..support.tls import Authority, TlsEngine, speaking_tls
from ..support.typed_page import typed

REFUSED = "upstream certificate refused; the last good one stays"
TAKEN = "upstream certificate taken"


class Mount:
    """A folder with `ca.crt`, `tls.crt` and `tls.key`, as a kubelet mounts a Secret: links into a folder that is
    swapped whole."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        folder.mkdir()
        self.folder, self._authority, self._version = folder, authority, 0
        for name in ("ca.crt", "tls.crt", "tls.key"):
            (folder / name).symlink_to(Path("..data") / name)

    def put(self, certificate: Path, key: Path) -> None:
        self._version += 1
        fresh = self.folder / f"..{self._version}"
        fresh.mkdir()
        for source, name in ((self._authority.ca, "ca.crt"), (certificate, "tls.crt"), (key, "tls.key")):
            shutil.copy(source, fresh / name)
        link = self.folder / "..data_tmp"
        link.symlink_to(fresh.name)
        link.replace(self.folder / "..data")

    @property
    def tls(self) -> dict[str, str]:
        names = {"ca": "ca.crt", "certificate": "tls.crt", "key": "tls.key"}
        return {field: str(self.folder / name) for field, name in names.items()}


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
def strict(ours: Authority) -> Iterator[TlsEngine]:
    """Wants a certificate of its clients, and says whose it was shown."""
    with speaking_tls(*ours.certificate("engine"), clients=ours.ca) as engine:
        yield engine


@pytest.fixture
def mount(tmp_path: Path, ours: Authority) -> Mount:
    made = Mount(tmp_path / "mount", ours)
    made.put(*ours.certificate("first"))
    return made


@pytest.fixture
def gateway(tmp_path: Path, mount: Mount, strict: TlsEngine) -> Iterator[Gateway]:
    document = {
        "upstreams": {"strict": {"url": strict.url, "tls": mount.tls}},
        "routes": {"chat": {"strategy": "direct", "upstream": "strict"}},
    }
    routes = write_routes(tmp_path / "routes", {"all": document})
    running = Gateway(tmp_path, "--routes", str(routes), env={"GATEWAY_REQUEST_TIMEOUT_SECONDS": "60"}).wait()
    yield running
    assert running.process.poll() is not None or running.stop() == 0


def shown(gateway: Gateway, strict: TlsEngine) -> str:
    """The name in the certificate that the engine is shown with one more request."""
    assert gateway.ask().status_code == 200
    return strict.clients[-1]


def metric(gateway: Gateway, name: str) -> float:
    found = re.search(
        rf'^gateway_upstream_certificate_{name}{{upstream="strict"}} (\S+)$', gateway.get("/metrics").text, re.M
    )
    assert found
    return float(found[1])


def told(gateway: Gateway) -> list[str]:
    """Of a gateway that has stopped: what it said of certificates, in order."""
    assert gateway.stop() == 0
    return [line["message"] for line in gateway.lines() if "certificate" in line["message"]]


def test_a_certificate_that_is_swapped_is_shown_without_a_reload(
    gateway: Gateway, mount: Mount, ours: Authority, strict: TlsEngine
) -> None:
    assert shown(gateway, strict) == "first"
    before, revision = metric(gateway, "expires_timestamp_seconds"), gateway.config()["revision"]
    mount.put(*ours.certificate("second", hours=5))
    until(lambda: shown(gateway, strict) == "second", "the new certificate is shown")
    assert metric(gateway, "expires_timestamp_seconds") > before + 3600
    assert metric(gateway, "refused") == 0
    assert gateway.config()["revision"] == revision
    assert told(gateway) == [TAKEN]


def test_what_the_page_says_to_type_shows_the_certificate_and_that_the_engine_asks_for_it(
    gateway: Gateway, mount: Mount, strict: TlsEngine, tmp_path: Path
) -> None:
    here = {
        "routes.d": "routes",
        "localhost:8000": f"127.0.0.1:{gateway.port}",
        "ENGINE:443": f"127.0.0.1:{strict.server_port}",
        "ENGINE/": f"127.0.0.1:{strict.server_port}/",
        **{name: str(mount.folder / name) for name in ("ca.crt", "tls.crt", "tls.key")},
    }
    typed(__file__, "docs/how-to/mutual-tls.md", here, tmp_path)


def test_a_bad_pair_is_told_and_the_last_good_one_stays(
    gateway: Gateway, mount: Mount, ours: Authority, strict: TlsEngine
) -> None:
    second, _ = ours.certificate("second")
    _, other = ours.certificate("other")
    mount.put(second, other)  # a key that is not the certificate's
    until(lambda: metric(gateway, "refused") == 1, "the pair is refused")
    assert shown(gateway, strict) == "first"
    mount.put(*ours.certificate("third"))
    until(lambda: shown(gateway, strict) == "third", "the good one is shown")
    assert metric(gateway, "refused") == 0
    assert told(gateway) == [REFUSED, TAKEN]


def test_a_pair_that_stays_bad_is_told_once_and_one_that_is_just_written_never(
    tmp_path: Path, mount: Mount, ours: Authority
) -> None:
    told: list[str] = []
    certificates = Certificates(lambda _, reason: told.append(reason))
    shown = certificates.of(TlsFile(**mount.tls))
    first, second = shown.context, ours.certificate("second")
    cut = tmp_path / "cut.pem"
    cut.write_bytes(second[0].read_bytes()[:100])
    mount.put(cut, second[1])
    certificates.look()
    mount.put(*second)
    certificates.look()
    assert told == [""]
    assert shown.context is not first
    for _ in range(3):
        mount.put(cut, second[1])
        for _ in range(3):
            certificates.look()
    assert len(told) == 2
    assert told[1] == shown.refused != ""
    (mount.folder / "..data").unlink()
    for _ in range(3):
        certificates.look()
    assert told[2:] == ["No such file or directory"]
    assert shown.context is not None


def test_a_call_under_way_goes_on_over_the_old_certificate(
    gateway: Gateway, mount: Mount, ours: Authority, strict: TlsEngine
) -> None:
    strict.gate.clear()
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(gateway.ask)
        until(lambda: strict.clients == ["first"], "the engine has the call")
        mount.put(*ours.certificate("second"))
        until(lambda: TAKEN in gateway.log.read_text(), "the new certificate is taken")
        strict.gate.set()
        assert slow.result().status_code == 200
    assert shown(gateway, strict) == "second"
