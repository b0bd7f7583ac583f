"""The pipeline on a KFP server: there once, whoever uploads it and however often."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.kfp_home import KfpHome
from ..support.kfp_server import TOKEN, KfpServer
from ..support.releases import plant_environments
from ..support.repository import ROOT

COMPILED = (ROOT / "pipelines" / "release_kfp.yaml").read_text()


@pytest.fixture
def server() -> Iterator[KfpServer]:
    double = KfpServer()
    yield double
    double.stop()


def upload(server: KfpServer, folder: Path, root: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    told = {"KFP_HOST": server.url, "KFP_TOKEN": TOKEN, **variables}
    return KfpHome(folder / "kfp", told).call("upload", "--root", root)


def test_what_is_compiled_is_uploaded_once(server: KfpServer, tmp_path: Path) -> None:
    first = upload(server, tmp_path)
    assert first.returncode == 0, first.stderr
    (version,) = server.versions.values()
    assert version["text"] == COMPILED
    assert first.stdout.splitlines() == [
        f"{version['name']}: uploaded",
        f"pipeline {version['pipeline_id']}, version {version['pipeline_version_id']}",
    ]
    second = upload(server, tmp_path)
    assert second.stdout.replace("there already", "uploaded") == first.stdout
    assert len(server.versions) == len(server.pipelines) == 1
    assert server.asked.count("POST /apis/v2beta1/pipelines/upload_version") == 1


def test_another_content_is_another_version_of_the_same_pipeline(server: KfpServer, tmp_path: Path) -> None:
    upload(server, tmp_path)
    plant_environments(tmp_path)
    base = tmp_path / "environments" / "base.yaml"
    base.write_text(base.read_text().replace("work_claim: nexus-models", "work_claim: another"))
    assert upload(server, tmp_path, tmp_path).returncode == 0
    assert len(server.pipelines) == 1
    assert len({version["name"] for version in server.versions.values()}) == 2


def test_who_comes_second_by_a_moment_finds_what_the_first_has_made(server: KfpServer, tmp_path: Path) -> None:
    server.race = True
    assert upload(server, tmp_path).returncode == 0  # somebody has made the pipeline
    server.versions.clear()
    server.race = True
    done = upload(server, tmp_path)  # somebody has uploaded the version
    assert done.returncode == 0, done.stderr
    assert "there already" in done.stdout
    assert len(server.versions) == len(server.pipelines) == 1


def test_what_the_server_refuses_is_said_once(server: KfpServer, tmp_path: Path) -> None:
    done = upload(server, tmp_path, KFP_TOKEN="another")
    assert done.returncode == 1
    assert "403" in done.stderr
    assert "User is not authorized" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("host", "status", "said"),
    [("", 2, "KFP_HOST"), ("kfp.example.com", 2, "https://"), ("http://127.0.0.1:9", 1, "http://127.0.0.1:9")],
)
def test_a_server_that_is_not_there_is_named(
    host: str, status: int, said: str, server: KfpServer, tmp_path: Path
) -> None:
    done = upload(server, tmp_path, KFP_HOST=host)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
