"""Nexus Engines: what answers, by figures of its own. vLLM's names, which our own worker tells too."""

from __future__ import annotations

from nexus_release.dashboards.board import ENVIRONMENT, WINDOW, Board, Panel, Query, Scope, Variable, quantile
from nexus_release.dashboards.links import kibana_dashboard

_MODEL = f'{ENVIRONMENT},model_name=~"$model"'
_LEGEND = "{{model_name}} {{instance}}"


def engines_board(scope: Scope) -> Board:
    return Board(
        "nexus-engines",
        "Nexus Engines",
        (*_requests(), *_waits(), *_memory()),
        (Variable("model", "Model", f"label_values(vllm:num_requests_running{{{ENVIRONMENT}}}, model_name)"),),
        (kibana_dashboard(),),
    )


def _requests() -> tuple[Panel, ...]:
    return (
        Panel("Running", "Requests in the engine's batch.", _of_each("sum", "vllm:num_requests_running"), "short"),
        Panel(
            "Waiting",
            "Requests that wait in the engine; pods are added by this and by those that run.",
            _of_each("sum", "vllm:num_requests_waiting"),
            "short",
        ),
        Panel(
            "Finished",
            "Requests by why they ended.",
            (
                Query(
                    f"sum by (model_name, finished_reason) (rate(vllm:request_success_total{{{_MODEL}}}[{WINDOW}]))",
                    "{{model_name}} {{finished_reason}}",
                ),
            ),
            "reqps",
        ),
        Panel("Prompt tokens", "Computed each second.", _rate("vllm:prompt_tokens_total"), "short"),
        Panel("Generated tokens", "Each second.", _rate("vllm:generation_tokens_total"), "short"),
        Panel(
            "Put back",
            "Running requests that gave their memory up and begin anew: the KV cache is too small.",
            _rate("vllm:num_preemptions_total"),
            "short",
        ),
    )


def _waits() -> tuple[Panel, ...]:
    return tuple(
        Panel(title, meaning, (Query(quantile(share, family, _MODEL, "model_name"), "{{model_name}}"),), "s")
        for title, meaning, share, family in (
            (
                "Time to first token p95",
                "As the engine sees it: what the gateway sees besides is its queue and the network.",
                0.95,
                "vllm:time_to_first_token_seconds",
            ),
            ("Time between tokens p99", "As the engine sees it.", 0.99, "vllm:inter_token_latency_seconds"),
            ("Whole request p95", "As the engine sees it.", 0.95, "vllm:e2e_request_latency_seconds"),
        )
    )


def _memory() -> tuple[Panel, ...]:
    hits, asked = (
        f"sum by (model_name) (rate(vllm:prefix_cache_{what}_total{{{_MODEL}}}[{WINDOW}]))"
        for what in ("hits", "queries")
    )
    return (
        Panel(
            "KV cache",
            "Share in use; where it stays near 1, requests wait or are put back.",
            _of_each("max", "vllm:kv_cache_usage_perc"),
            "percentunit",
        ),
        Panel(
            "Prefixes from the cache",
            "Share of prompt tokens whose beginning the engine still had.",
            (Query(f"{hits} / {asked}", "{{model_name}}"),),
            "percentunit",
        ),
        Panel(
            "GPU",
            "Use of each GPU, by NVIDIA's DCGM exporter.",
            (Query(f"max by (Hostname, gpu) (DCGM_FI_DEV_GPU_UTIL{{{ENVIRONMENT}}})", "{{Hostname}} {{gpu}}"),),
            "percent",
        ),
        Panel(
            "GPU memory",
            "In use on each GPU, in MiB; an engine takes its share at its start.",
            (Query(f"max by (Hostname, gpu) (DCGM_FI_DEV_FB_USED{{{ENVIRONMENT}}})", "{{Hostname}} {{gpu}}"),),
            "decmbytes",
        ),
    )


def _of_each(how: str, family: str) -> tuple[Query, ...]:
    return (Query(f"{how} by (model_name, instance) ({family}{{{_MODEL}}})", _LEGEND),)


def _rate(family: str) -> tuple[Query, ...]:
    return (Query(f"sum by (model_name) (rate({family}{{{_MODEL}}}[{WINDOW}]))", "{{model_name}}"),)
