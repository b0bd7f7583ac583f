"""Each file, program and query that a page shows in a block would be taken by who reads it."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from ..support.file_shapes import fault
from ..support.page_blocks import BLOCKS, Block
from ..support.prometheus_history import promtool

LANGUAGES = {"sh", "yaml", "json", "python", "js", "promql", "kql", "text", ""}
"""Commands are held by test_documented_commands.py, kql by tests/ops/test_follow_a_request.py, js by
tests/clients/test_page.py. `text`, and a fence without a word, show what is printed, or draw."""


def of(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


def test_each_block_says_what_it_is() -> None:
    assert sorted(f"{block}: {block.language}" for block in BLOCKS if block.language not in LANGUAGES) == []


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_each_yaml_would_be_taken_by_who_reads_it(block: Block) -> None:
    assert fault(block.text) == ""


@pytest.mark.parametrize(
    "slip",
    [
        "gpu: {modle: H100-80GB}",
        "upstreams:\n  a: {url: 'http://a', helth: {path: /x}}",
        "upstreams:\n  a: {url: 'http://a'}\nroutes:\n  chat: {strategy: direct, upstrem: a}",
        "policies: {x: {requests_per_minutes: 1}}",
        "masking: {recogniser: [x]}",
        "keys: [{id: x}]",
        "tests: [{name: x, reachs: [y]}]",
        "model: chat\ndataset: x\nquantise: {}",
        "volumes: [{nam: x}]\ncontainers: [{volumeMounts: []}]",
        "- {environment: prod, cluster: in-cluster, namespace: nexus, components: {gateway: [rollout]}}",
        "- {spec: x, environment: prod, schedule: 3 o'clock}",
        "prod: {url: 'http://x', kee: K}",
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x}\nspec: {shedule: x}",
        "something: else",
    ],
)
def test_a_slip_in_a_yaml_is_found(slip: str) -> None:
    assert fault(slip)


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_each_json_is_json(block: Block) -> None:
    assert json.loads(block.text)


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_each_python_is_python_and_imports_what_there_is(block: Block) -> None:
    tree = ast.parse(block.text)
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    others = {"anthropic", "instructor", "langchain_anthropic", "langchain_openai", "litellm", "llama_index"}
    ours = {name for name in imported if name.partition(".")[0] not in others}
    assert sorted(name for name in ours if importlib.util.find_spec(name) is None) == []


def test_each_query_is_promql(tmp_path: Path) -> None:
    queries = [query for block in of("promql") for query in block.text.split("\n\n")]
    rules = [{"record": f"page:query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "pages", "rules": rules}]}))
    done = subprocess.run([promtool(), "check", "rules", "queries.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
