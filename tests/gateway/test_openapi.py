"""The OpenAPI document is true: what schemathesis makes up by it is answered as it says."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.routing import Route

from nexus_gateway.app import create_app
from nexus_gateway.errors import CONDITIONS, METHOD_NOT_ALLOWED, PAGE_NOT_FOUND
from nexus_gateway.gateway import Gateway as Parts
from nexus_gateway.surfaces import SURFACES

from ..support.gateway import BIN, Gateway, write_routes
from ..support.repository import ROOT

Document = dict[str, Any]


def start(folder: Path) -> Gateway:
    document = {
        "upstreams": {"mock": {"url": "mock://local"}},
        "routes": {"mock": {"strategy": "direct", "upstream": "mock"}},
        "policies": {"dev-key": {"requests_per_minute": 1_000_000}},
    }
    return Gateway(folder, "--routes", str(write_routes(folder / "routes", {"all": document}))).wait()


@pytest.fixture(scope="module")
def mocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = start(tmp_path_factory.mktemp("mocked"))
    yield running
    assert running.stop() == 0


def fuzz(
    gateway: Gateway, document: Document, folder: Path, examples: int, *flags: str
) -> subprocess.CompletedProcess[str]:
    """By the document, with examples that are the same each time."""
    (folder / "openapi.json").write_text(json.dumps(document))
    command = [str(BIN / "schemathesis"), "--no-color", "run", "openapi.json", "--url", gateway.url]
    options = ["-H", "Authorization: Bearer dev-key", "--generation-with-security-parameters", "false"]
    options += ["--max-examples", str(examples), "--generation-deterministic"]
    phases = ["--phases", "examples,coverage,fuzzing", "--checks", "all", "--continue-on-failure", "--warnings", "off"]
    return subprocess.run(
        [*command, *options, *phases, *flags],
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.support.fuzz_hooks", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )


def requests(gateway: Gateway) -> list[dict[str, Any]]:
    """Of its log, beside which the server complains of what is no HTTP."""
    lines = [json.loads(line) for line in gateway.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["message"] == "request"]


def served(gateway: Gateway) -> Document:
    """Without what engines say in their own words, which the mock never does: their schema would take anything."""
    document: Document = gateway.get("/openapi.json", key=None).json()
    document["components"]["schemas"]["Complaint"] = {"not": {}}
    return document


def test_every_answer_is_as_the_document_says(tmp_path: Path) -> None:
    gateway = start(tmp_path)
    ended = fuzz(gateway, served(gateway), tmp_path, 30)
    assert gateway.stop() == 0
    assert ended.returncode == 0, ended.stdout + ended.stderr
    answers = {(line["path"], line["status"]) for line in requests(gateway)}
    for path in SURFACES:
        assert {200, 400, 401, 404, 415} <= {status for asked, status in answers if asked == path}, path


def _no_415(document: Document) -> None:
    del document["paths"]["/v1/rerank"]["post"]["responses"]["415"]


def _another_status(document: Document) -> None:
    answer = document["paths"]["/health"]["get"]["responses"]["200"]
    answer["content"]["application/json"]["schema"]["properties"]["status"] = {"enum": ["fine"]}


def _another_code(document: Document) -> None:
    schema = document["components"]["responses"]["messages-404"]["content"]["application/json"]["schema"]
    schema["anyOf"][0]["properties"]["error"]["properties"]["code"] = {"enum": ["api_not_served"]}


def _another_media(document: Document) -> None:
    content = document["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
    content["application/json"] = content.pop("text/plain")


def _a_header_that_is_not_there(document: Document) -> None:
    document["components"]["headers"]["x-fallback-model"]["required"] = True


def _a_field_that_is_read_otherwise(document: Document) -> None:
    document["components"]["schemas"]["Asked"]["properties"]["stream"] = {"type": "string"}


@pytest.mark.parametrize(
    ("lie", "path", "found"),
    [
        (_no_415, "/v1/rerank", "Undocumented status code"),
        (_another_status, "/health", "Response violates schema"),
        (_another_code, "/v1/messages", "Response violates schema"),
        (_another_media, "/metrics", "Undocumented Content-Type"),
        (_a_header_that_is_not_there, "/v1/embeddings", "Missing required response headers"),
        (_a_field_that_is_read_otherwise, "/v1/rerank", "Schema-valid request rejected"),
    ],
)
def test_a_document_that_lies_is_found_out(mocked: Gateway, tmp_path: Path, lie: Any, path: str, found: str) -> None:
    document = deepcopy(served(mocked))
    lie(document)
    ended = fuzz(mocked, document, tmp_path, 3, "--include-path", path)
    assert ended.returncode == 1, ended.stdout
    assert found in ended.stdout


def test_the_document_has_every_path_and_method_and_the_file_in_git_is_it(gateway: Gateway) -> None:
    document = gateway.get("/openapi.json", key=None).json()
    said = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    app = create_app(cast(Parts, None))
    there = {(route.path, method) for route in app.routes if isinstance(route, Route) for method in route.methods or ()}
    assert there - {(path, "HEAD") for path, _ in there} == said
    assert document == json.loads((ROOT / "gateway" / "openapi.json").read_text(encoding="utf-8"))


def test_the_document_has_every_code_of_the_table(gateway: Gateway) -> None:
    """But those of no path of it."""
    text = gateway.get("/openapi.json", key=None).text
    elsewhere = {PAGE_NOT_FOUND, METHOD_NOT_ALLOWED}
    codes = {condition.code for condition in CONDITIONS if condition not in elsewhere}
    assert {code for code in codes if f'"{code}"' not in text} == {"stream_broken"}


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/oauth2-redirect"])
def test_there_are_no_pages_to_try_it_on(gateway: Gateway, path: str) -> None:
    assert gateway.get(path).status_code == 404
