"""`nexus-gateway import-litellm`: LiteLLM's configuration as route files, and a word on every key of it."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import openai
import pytest
import yaml

from ..support.gateway import BIN, Gateway
from ..support.litellm_keys import SECTIONS, every_key
from ..support.upstream import WORDS, Engine

KEY = "sk-0123456789-0123456789-0123456789"


class Import:
    """One run of the command."""

    def __init__(self, folder: Path, config: dict[str, Any] | str, *flags: str) -> None:
        self.file = folder / "config.yaml"
        self.file.write_text(config if isinstance(config, str) else json.dumps(config))
        command = [str(BIN / "nexus-gateway"), "import-litellm", str(self.file), "--json", *flags]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.status, self.said = done.returncode, done.stdout
        self.told: dict[str, Any] = json.loads(done.stdout)
        self.report: dict[str, Any] = self.told.get("report", {})

    def file_of(self, model: str) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(self.told["files"][f"routes.d/{model}.yaml"])
        return found

    def route(self, model: str) -> dict[str, Any]:
        found: dict[str, Any] = self.file_of(model)["routes"][model]
        return found

    def note(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = next(note for note in self.report["notes"] if note["path"] == path)
        return found

    def variable(self, name: str) -> str | None:
        found: str | None = next(one["value"] for one in self.report["variables"] if one["name"] == name)
        return found


def vllm(name: str, base: str, **params: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": "hosted_vllm/q/Qwen", "api_base": base, **params}}


def test_like_deployments_are_endpoints_of_one_upstream(tmp_path: Path) -> None:
    listed = [vllm("chat", f"http://vllm-{number}:8000/v1", max_parallel_requests=4) for number in range(3)]
    done = Import(tmp_path, {"model_list": listed, "router_settings": {"routing_strategy": "least-busy"}})
    assert done.status == 0
    assert done.file_of("chat")["upstreams"] == {
        "chat-1": {
            "endpoints": [f"http://vllm-{number}:8000" for number in range(3)],
            "model": "q/Qwen",
            "max_parallel": 12,
        }
    }
    assert done.route("chat")["upstream"] == "chat-1"


@pytest.mark.parametrize(
    ("shares", "percents"),
    [
        ([{"weight": 9}, {"weight": 1}], [90.0, 10.0]),
        ([{"rpm": 900}, {"rpm": 10}], [98.9, 1.1]),
        ([{"tpm": 1}, {"tpm": 1, "api_key": "os.environ/K"}, {"tpm": 1}], [33.34, 33.33, 33.33]),
        ([{}, {"model": "hosted_vllm/other"}], [50.0, 50.0]),
        ([{"weight": 1, "rpm": 1}, {"rpm": 1000}], [100.0, 0.0]),
    ],
)
def test_shares_are_those_of_simple_shuffle(
    tmp_path: Path, shares: list[dict[str, Any]], percents: list[float]
) -> None:
    done = Import(tmp_path, {"model_list": [vllm("chat", f"http://h{n}/v1", **own) for n, own in enumerate(shares)]})
    route = done.route("chat")
    assert route["strategy"] == "weighted"
    assert [target["weight"] for target in route["targets"]] == percents


def test_order_is_a_route_that_is_fallen_back_to(tmp_path: Path) -> None:
    listed = [vllm("chat", "http://second/v1", order=2), vllm("chat", "http://first/v1", order=1)]
    done = Import(tmp_path, {"model_list": listed})
    routes = done.file_of("chat")["routes"]
    assert routes["chat"]["upstream"] == "chat-2"
    assert routes["chat"]["fallbacks"] == ["chat@order-2"]
    assert routes["chat@order-2"]["upstream"] == "chat-1"
    assert "chat@order-2" in done.note("model_list.0.litellm_params.order")["here"]


def test_reliability_becomes_tries_deadlines_fallbacks_and_variables(tmp_path: Path) -> None:
    config = {
        "model_list": [vllm("a", "http://a/v1", timeout=30), vllm("b", "http://b/v1"), vllm("c", "http://c/v1")],
        "litellm_settings": {
            "num_retries": 1,
            "request_timeout": 20,
            "fallbacks": [{"a": ["b", "c"]}, {"b": ["a"]}],
            "context_window_fallbacks": [{"a": ["c"]}],
            "default_fallbacks": ["b"],
        },
        "router_settings": {"num_retries": 2, "allowed_fails": 3, "cooldown_time": 45, "stream_timeout": 9},
        "general_settings": {"global_max_parallel_requests": 300},
    }
    done = Import(tmp_path, config)
    timeouts = {"first_byte_seconds": 30.0, "total_seconds": 600.0, "chunk_seconds": 9.0}
    assert done.route("a")["timeouts"] == timeouts
    assert done.route("b")["timeouts"]["first_byte_seconds"] == 20.0
    assert (done.route("a")["tries"], done.route("a")["fallbacks"]) == (5, ["b", "c"])
    assert "fallbacks" not in done.route("b")
    assert "lead back" in done.note("litellm_settings.fallbacks.1.b")["here"]
    assert done.route("c")["fallbacks"] == ["b"]
    assert "not asked again" in done.note("litellm_settings.context_window_fallbacks")["here"]
    assert done.variable("GATEWAY_CIRCUIT_BREAKER_MAX_FAILURES") == "4"
    assert done.variable("GATEWAY_CIRCUIT_BREAKER_RESET_SECONDS") == "45"
    assert done.variable("GATEWAY_MAX_IN_FLIGHT") == "300"
    assert "counts more" in done.report["taken"]["litellm_settings.num_retries"]


def test_aliases_are_second_routes_with_the_same_upstreams(tmp_path: Path) -> None:
    config = {
        "model_list": [vllm("new", "http://n/v1"), vllm("spare", "http://s/v1")],
        "router_settings": {
            "model_group_alias": {"old": "new", "Hidden": {"model": "new", "hidden": True}, "lost": "nobody"},
            "fallbacks": [{"new": ["spare"]}],
        },
    }
    done = Import(tmp_path, config)
    assert done.route("old") == done.route("Hidden") == done.route("new")
    assert done.route("old")["fallbacks"] == ["spare"]
    assert done.note("router_settings.model_group_alias.Hidden.hidden")["kind"] == "differs"
    assert done.note("router_settings.model_group_alias.lost")["kind"] == "left out"


def test_wildcards_are_the_default_upstream_or_are_told_of(tmp_path: Path) -> None:
    everything = {"model_name": "*", "litellm_params": {"model": "openai/*", "api_base": "http://all:1/v1"}}
    pattern = {"model_name": "anthropic/*", "litellm_params": {"model": "anthropic/*", "api_key": "os.environ/A"}}
    done = Import(tmp_path, {"model_list": [everything, pattern], "router_settings": {"timeout": 90}})
    assert done.file_of("default") == {"upstreams": {"default-1": {"url": "http://all:1"}}, "default": "default-1"}
    assert done.variable("GATEWAY_REQUEST_TIMEOUT_SECONDS") == "90"
    assert "route for each model" in done.note("model_list.1")["here"]
    assert (done.status, done.report["missing"]) == (1, ["anthropic/*"])


def test_keys_go_into_variables_and_digests_and_nowhere_else(tmp_path: Path) -> None:
    config = {
        "model_list": [
            vllm("inline", "http://a/v1", api_key="sk-SECRET-1"),
            vllm("named", "http://b/v1", api_key="os.environ/B_TOKEN"),
            vllm("open", "http://c/v1", api_key="none"),
            vllm("shared", "http://d/v1", litellm_credential_name="vault"),
            vllm("userinfo", "http://me:SECRET-2@e/v1"),
        ],
        "credential_list": [{"credential_name": "vault", "credential_values": {"api_key": "sk-SECRET-3"}}],
        "router_settings": {"redis_host": "r", "redis_password": "SECRET-4"},
        "general_settings": {"master_key": f"{KEY}-SECRET-5", "database_url": "postgres://u:SECRET-6@h/db"},
        "environment_variables": {"B_TOKEN": "SECRET-7", "LANGFUSE_SECRET_KEY": "SECRET-8"},
        "unheard_of": {"token": "SECRET-9"},
    }
    done = Import(tmp_path, config, "--out", str(tmp_path / "out"))
    assert done.file_of("inline")["upstreams"]["inline-1"]["credential_env"] == "INLINE_1_API_KEY"
    assert done.file_of("named")["upstreams"]["named-1"]["credential_env"] == "B_TOKEN"
    assert "credential_env" not in done.file_of("open")["upstreams"]["open-1"]
    assert done.file_of("shared")["upstreams"]["shared-1"]["credential_env"] == "SHARED_1_API_KEY"
    assert done.report["missing"] == ["userinfo"]
    assert done.variable("GATEWAY_REDIS_URL") is None
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {path.name for path in written} >= {"keys.yaml", "gateway.env", "REPORT.md", "inline.yaml"}
    assert "SECRET-" not in done.said + "".join(path.read_text() for path in written)
    assert done.note("unheard_of.token")["kind"] == "unknown"


def test_an_address_of_the_file_s_own_environment_is_taken_and_another_is_told_of(tmp_path: Path) -> None:
    config = {
        "model_list": [vllm("here", "os.environ/HERE", rpm="os.environ/RPM"), vllm("away", "os.environ/AWAY")],
        "environment_variables": {"HERE": "http://here:1/v1"},
    }
    done = Import(tmp_path, config)
    assert done.file_of("here")["upstreams"]["here-1"]["url"] == "http://here:1"
    assert "environment" in done.note("model_list.1")["there"]


def test_what_no_route_can_do_is_left_out_with_the_reason(tmp_path: Path) -> None:
    kinds = {
        "picture": {"litellm_params": {"model": "openai/dall-e-3"}, "model_info": {"mode": "image_generation"}},
        "canned": {"litellm_params": {"model": "openai/x", "mock_response": "hello"}},
        "nowhere": {"litellm_params": {"model": "hosted_vllm/x"}},
        "guess": {"litellm_params": {"model": "some-model"}},
        "cloud": {"litellm_params": {"model": "bedrock/x", "aws_region_name": "us-west-2"}},
        "bad name!": {"litellm_params": {"model": "openai/x", "api_base": "http://h/v1"}},
    }
    listed = [{"model_name": name, **own} for name, own in kinds.items()]
    words = {"model_name": "words", "litellm_params": {"model": "text-completion-openai/i", "api_base": "http://w/v1"}}
    vectors = {**vllm("vectors", "http://v/v1"), "model_info": {"mode": "embedding", "id": "bge"}}
    done = Import(tmp_path, {"model_list": [*listed, words, vectors]})
    assert (done.status, done.report["missing"]) == (1, sorted(kinds))
    assert {note["kind"] for note in done.report["notes"] if note["path"].count(".") == 1} == {"left out"}
    assert done.file_of("words")["upstreams"]["words-1"]["apis"] == ["completions"]
    assert done.file_of("vectors")["upstreams"]["bge"]["apis"] == ["embeddings"]


def test_a_hosted_provider_is_asked_by_its_name_with_a_key_from_a_variable(tmp_path: Path) -> None:
    gpt = {"model_name": "gpt", "litellm_params": {"model": "gpt-5", "api_key": "os.environ/OPENAI_KEY"}}
    claude = {"model_name": "claude", "litellm_params": {"model": "anthropic/claude-9", "api_key": "sk-SECRET"}}
    own = {"model": "groq/llama", "api_base": "https://proxy.example/openai/v1"}
    done = Import(tmp_path, {"model_list": [gpt, claude, {"model_name": "own", "litellm_params": own}]})
    assert (done.status, done.report["missing"]) == (0, [])
    assert done.file_of("gpt")["upstreams"]["gpt-1"] == {
        "url": "litellm://openai/gpt-5",
        "credential_env": "OPENAI_KEY",
    }
    assert done.file_of("claude")["upstreams"]["claude-1"] == {
        "url": "litellm://anthropic/claude-9",
        "credential_env": "CLAUDE_1_API_KEY",
    }
    assert done.file_of("own")["upstreams"]["own-1"] == {
        "url": "litellm://groq/llama",
        "api_base": "https://proxy.example/openai/v1",
        "credential_env": "GROQ_API_KEY",
    }
    assert "litellm" in done.note("model_list.0")["here"]
    assert "SECRET" not in done.said


def test_included_files_count_and_none_from_elsewhere_is_read(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text(yaml.safe_dump({"model_list": [vllm("b", "http://b/v1")]}))
    config = {"include": ["models.yaml"], "model_list": [vllm("a", "http://a/v1")]}
    assert Import(tmp_path, config).report["models"] == ["a", "b"]
    folder = tmp_path / "inner"
    folder.mkdir()
    refused = Import(folder, {"include": ["../models.yaml"]})
    assert refused.status == 2
    assert "is not below" in refused.told["refused"]


def test_every_documented_key_is_taken_or_told_of(tmp_path: Path) -> None:
    config = every_key()
    done = Import(tmp_path, config)
    taken, notes = done.report["taken"], {note["path"]: note["kind"] for note in done.report["notes"]}
    told = (*taken, *notes)
    places = [f"{section}.{key}" for section, keys in SECTIONS.items() for key in keys]
    deployment = config["model_list"][0]
    places += [f"model_list.0.{part}.{key}" for part in ("litellm_params", "model_info") for key in deployment[part]]
    places += [f"model_list.{number}.model_name" for number in (0, 1)]
    lost = [place for place in places if not any(f"{said}.".startswith(f"{place}.") for said in told)]
    assert len(places) > 180
    assert lost == []
    assert [path for path, kind in notes.items() if kind == "unknown"] == []
    assert "model_list.0" not in notes, "a deployment that is left out says nothing of its keys"


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\nmodel_list: [*a, *a]",
        "model_list: !!python/object/apply:os.system ['sk-SECRET']",
        "api_key: sk-SECRET: more",
        "x: !!int sk-SECRET",
        "x: 2001-99-99",
        "model_list: [{model_name: chat, litellm_params: sk-SECRET}]",
        "model_list: [{model_name: chat, litellm_params: {model: m, weight: sk-SECRET}}]",
        "- just\n- a list",
        "a: 1\na: 2",
        "[" * 50_000,
        "include: /etc/passwd",
        "include: [/etc/passwd]",
        "include: [missing.yaml]",
        "model_list: []",
        "model_list: [{model_name: chat, litellm_params: {model: hosted_vllm/m, api_base: 'http://h/v1', rpm: .inf}}]",
        "\x00",
    ],
)
def test_a_hostile_or_empty_file_is_refused_and_nothing_is_written(tmp_path: Path, text: str) -> None:
    done = Import(tmp_path, text, "--out", str(tmp_path / "out"))
    assert done.status == 2
    assert "SECRET" not in done.said
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    done = Import(tmp_path, {"model_list": [vllm("a", "http://a/v1")]}, "--out", str(tmp_path / "out"))
    assert done.status == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    assert {path.name for path in tmp_path.iterdir()} == {"config.yaml", "out"}


def test_what_the_loader_refuses_is_not_written(tmp_path: Path) -> None:
    """Names that differ only in what a file system may not tell apart, and a chain that is too long."""
    names = [f"m{number}" for number in range(40)]
    chained = [{before: [after]} for before, after in pairwise(names)]
    listed = [vllm(name, f"http://{name}/v1") for name in names]
    done = Import(
        tmp_path, {"model_list": listed, "router_settings": {"fallbacks": chained}}, "--out", str(tmp_path / "out")
    )
    assert done.status == 2
    assert "chain" in done.told["refused"]
    assert not (tmp_path / "out").exists()


def test_imported_routes_serve_the_openai_sdk(tmp_path: Path, engine: Engine) -> None:
    config = {
        "model_list": [
            vllm("chat", f"{engine.url('ok')}/v1", api_key="os.environ/ENGINE_TOKEN"),
            vllm("broken", f"{engine.url('500')}/v1"),
        ],
        "litellm_settings": {"fallbacks": [{"broken": ["chat"]}], "num_retries": 0},
        "router_settings": {"model_group_alias": {"gpt-4": "chat"}},
        "general_settings": {"master_key": KEY},
    }
    out = tmp_path / "out"
    assert Import(tmp_path, config, "--out", str(out)).status == 0
    flags = ("--routes", str(out / "routes.d"), "--keys", str(out / "keys.yaml"))
    gateway = Gateway(tmp_path, *flags, env={"ENGINE_TOKEN": "engine-token"}).wait()
    try:
        sdk = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0)
        for model in ("chat", "gpt-4", "broken"):
            answer = sdk.chat.completions.create(model=model, messages=[{"role": "user", "content": "hello"}])
            assert answer.choices[0].message.content == "".join(WORDS)
            seen = engine.of("ok")[-1]
            assert json.loads(seen.body)["model"] == "q/Qwen"
            assert seen.headers["authorization"] == "Bearer engine-token"
        assert {model.id for model in sdk.models.list()} == {"chat", "gpt-4", "broken"}
    finally:
        gateway.stop()
