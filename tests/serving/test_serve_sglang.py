"""`make serve-sglang`, with a stub for the Python that has SGLang; and the words that a cluster's SGLang is told.

SGLang's own parser is not asked: its package needs CUDA to be installed. Its documented options are.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from nexus_release.config import load_settings

from ..support.releases import make_record
from ..support.rendered_engine import rendered_pod
from ..support.repository import ROOT

SCRIPT = ROOT / "ops" / "serve-sglang.sh"
STUB = """#!/bin/sh
[ "$1" = -c ] && exit "${NO_SGLANG:-0}"
printf '%s\\n' "offline=${HF_HUB_OFFLINE:-}" "$@"
"""
DOCUMENTED = {
    "--context-length",
    "--enable-cache-report",
    "--enable-metrics",
    "--host",
    "--max-running-requests",
    "--mem-fraction-static",
    "--model-path",
    "--port",
    "--served-model-name",
    "--stream-response-default-include-usage",
    "--tensor-parallel-size",
}
"""Of https://docs.sglang.io/advanced_features/server_arguments.html, those that we use; looked up on 2026-11-28."""


@dataclass(frozen=True)
class Said:
    status: int
    words: list[str]
    err: str


def serve(folder: Path, *words: str, **variables: str) -> Said:
    stub = folder / "stub-python"
    stub.write_text(STUB)
    stub.chmod(0o755)
    known = {key: value for key, value in os.environ.items() if key not in {"MODEL_ID", "HEALTH_URL", "MAX_MODEL_LEN"}}
    environment = {**known, "SGLANG_PYTHON": str(stub), **variables}
    done = subprocess.run(["sh", SCRIPT, *words], capture_output=True, text=True, env=environment)
    return Said(done.returncode, done.stdout.splitlines(), done.stderr)


def test_a_folder_is_served_under_its_name_without_asking_a_hub(tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    said = serve(tmp_path, str(tmp_path / "tiny"), "", "")
    assert said.words[:3] == ["offline=1", "-m", "sglang.launch_server"]
    options = dict(zip(said.words[3::2], said.words[4::2], strict=False))
    assert options["--model-path"] == str(tmp_path / "tiny")
    assert options["--served-model-name"] == "tiny"
    assert (options["--host"], options["--port"]) == ("127.0.0.1", "30000")
    assert "ready when http://127.0.0.1:30000/health says 200" in said.err


def test_everything_may_be_said_by_variables_and_words_stand_above_them(tmp_path: Path) -> None:
    variables = {"MODEL_ID": "acme/llama", "HEALTH_URL": "http://gpu/health_generate", "MAX_MODEL_LEN": "512"}
    by_variable = serve(tmp_path, "", "chat", "31000", **variables)
    assert by_variable.words[0] == "offline="
    for words in (["--model-path", "acme/llama"], ["--served-model-name", "chat"], ["--port", "31000"]):
        at = by_variable.words.index(words[0])
        assert by_variable.words[at : at + 2] == words
    assert by_variable.words[by_variable.words.index("--context-length") + 1] == "512"
    assert "ready when http://gpu/health_generate says 200" in by_variable.err
    assert "acme/other" in serve(tmp_path, "acme/other", **variables).words


def test_what_is_missing_is_said_with_its_mend(tmp_path: Path) -> None:
    nothing, no_engine = serve(tmp_path), serve(tmp_path, "acme/llama", NO_SGLANG="1")
    assert (nothing.status, nothing.words) == (2, [])
    assert "MODEL_ID" in nothing.err
    assert (no_engine.status, no_engine.words) == (1, [])
    assert "SGLANG_PYTHON" in no_engine.err


def options(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if word.startswith("--")}


def test_a_cluster_and_the_script_say_documented_options_alone(tmp_path: Path) -> None:
    settings = load_settings(ROOT, "dev")
    shared = settings.serving.model_copy(update={"prefix_cache": "shared"})
    settings = settings.model_copy(update={"runtime": "nexus-sglang", "serving": shared})
    pod = rendered_pod(make_record("m", 1), settings)
    assert options([*pod.arguments]) == DOCUMENTED
    assert options(serve(tmp_path, "acme/llama").words) < DOCUMENTED


@pytest.mark.parametrize(
    ("runtime", "context", "batch"),
    [
        ("nexus-vllm", "--max-model-len", "--max-num-seqs"),
        ("nexus-sglang", "--context-length", "--max-running-requests"),
    ],
)
def test_what_is_planned_for_a_gpu_is_what_the_engine_is_told(runtime: str, context: str, batch: str) -> None:
    def told(**serving: int) -> dict[str, str]:
        settings = load_settings(ROOT, "dev").model_copy(update={"runtime": runtime})
        settings = settings.model_copy(update={"serving": settings.serving.model_copy(update=serving)})
        words = rendered_pod(make_record("m", 1), settings).arguments
        return dict(word.split("=", 1) for word in words if "=" in word)

    wide, narrow = told(), told(context_tokens=512, concurrency=4)
    assert (wide[context], narrow[context]) == ("1024", "512"), "the model's own positions are the most"
    assert (wide[batch], narrow[batch]) == ("32", "4")
