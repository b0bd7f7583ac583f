"""Reading a dataset by its URI: what is there is read whole, what is not is told, and only what may pass is retried."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus_release.adapters import datasets
from nexus_release.adapters.datasets import UriDatasets
from nexus_release.errors import BadInput, Missing, MissingExtra, NexusError, Unreachable
from nexus_release.steps.validate import DataGate, ValidateIn, validate
from nexus_release.wiring import Connections, Tools

from ..support.bucket import register
from ..support.web import Reply, Web, serve

DATA = b'{"id": "1"}\n' * 50


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "_PAUSE_SECONDS", 0.0)


@pytest.fixture
def web() -> Iterator[Web]:
    """`/ok` has data, `/<status>` answers that, `/late` has data from the third request on."""
    late = iter([503, 500])

    def answer(path: str) -> Reply:
        name = path.partition("?")[0].removeprefix("/").removesuffix(".jsonl")
        if name == "late":
            return Reply(DATA, next(late, 200))
        return Reply(DATA, 200 if name == "ok" else int(name))

    with serve(answer) as served:
        yield served


def test_a_path_a_file_uri_and_http_give_the_same_bytes(tmp_path: Path, web: Web) -> None:
    path = tmp_path / "my data#1.jsonl"
    path.write_bytes(DATA)
    found = [UriDatasets().read(uri) for uri in (str(path), path.as_uri(), f"{web.url}/ok.jsonl")]
    assert found == [DATA] * 3


def test_a_server_that_stumbles_is_asked_again(web: Web) -> None:
    assert UriDatasets().read(f"{web.url}/late.jsonl") == DATA


def test_a_server_that_stays_down_is_asked_three_times(web: Web) -> None:
    with pytest.raises(Unreachable, match="3 tries"):
        UriDatasets().read(f"{web.url}/503.jsonl")
    assert len(web.asked) == 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_s_no_is_asked_once_and_its_signature_not_told(web: Web, status: int) -> None:
    with pytest.raises(NexusError) as caught:
        UriDatasets().read(f"{web.url}/{status}.jsonl?signature=secret-text")
    assert not caught.value.retry
    assert str(status) in str(caught.value)
    assert "secret-text" not in str(caught.value)
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("uri", "error"),
    [
        ("/no/such/file.jsonl", Missing),
        ("file:///no/such/file.jsonl", Missing),
        ("file://data/file.jsonl", BadInput),
        ("/dev/zero", BadInput),
        ("/tmp", BadInput),
        ("ftp://host/data.jsonl", BadInput),
        ("http://user:password@host/data.jsonl", BadInput),
        ("http://127.0.0.1:9/data.jsonl", Unreachable),
    ],
)
def test_a_dataset_that_cannot_be_read_stops_the_release(tmp_path: Path, uri: str, error: type[Exception]) -> None:
    tools = Tools(Connections(work=tmp_path.as_uri(), registry="http://127.0.0.1:9", remote="none"))
    with pytest.raises(error, match="dataset") as caught:
        validate(ValidateIn(model="m", environment="local", declaration=None, dataset=uri, gate=DataGate()), tools)
    assert "password" not in str(caught.value)


def test_what_is_not_on_the_server_is_missing(web: Web) -> None:
    with pytest.raises(Missing, match=r"404\.jsonl"):
        UriDatasets().read(f"{web.url}/404.jsonl")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="pipe"):
        UriDatasets().read(str(tmp_path / "pipe"))


def test_what_is_too_large_is_refused(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "LARGEST", 10)
    (tmp_path / "data").write_bytes(DATA)
    for uri in (str(tmp_path / "data"), f"{web.url}/ok.jsonl"):
        with pytest.raises(BadInput, match="larger than 10 bytes"):
            UriDatasets().read(uri)


def test_an_object_is_read_from_its_store(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch).pipe_file("s3://bucket/data.jsonl", DATA)
    assert UriDatasets().read("s3://bucket/data.jsonl") == DATA
    with pytest.raises(Missing, match="other"):
        UriDatasets().read("s3://bucket/other.jsonl")


def test_a_missing_part_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtra, match="remote-data"):
        UriDatasets().read("s3://bucket/data.jsonl")
