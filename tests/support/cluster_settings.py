"""Settings of clusters in which every image is built, and every way that an environment may choose."""

from __future__ import annotations

from typing import Any

from nexus_release.config import Settings, load_settings

from .repository import ROOT

IMAGE = f"registry.example.org/nexus/made-up:1@sha256:{'a' * 64}"
BUILT: dict[str, Any] = {"gateway": {"image": IMAGE}, "pods": {"images": {"release": IMAGE}}}
"""Over an environment's settings: all images of ours have a digest."""
STORE = {"kind": "ClusterSecretStore", "name": "vault", "prefix": "nexus/", "refresh": "1h0m0s"}
CHOICES: dict[str, dict[str, Any]] = {
    "nobody outside": {"gateway": {"expose": "none"}, "redis": {"mode": "none", "image": None}},
    "ingress with a certificate": {"gateway": {"expose": "ingress", "tls_secret": "gateway-tls"}},
    "gateway api": {"gateway": {"expose": "gateway-api", "secrets": {"store": STORE}}, "redis": {"mode": "sentinel"}},
    "load balancer": {
        "gateway": {
            "expose": "load-balancer",
            "load_balancer": {"annotations": {"metallb.io/address-pool": "public"}, "sources": ["192.0.2.0/24"]},
            "replicas": {"minimum": 1, "maximum": 1},
        }
    },
    "everything elsewhere": {
        "gateway": {
            "variables": {"GATEWAY_JWT_ISSUER": "https://issuer.example.org"},
            "secret_variables": {"OPENAI_KEY": {"secret": "hosted", "key": "openai"}},
            "callers": [{"namespace": "shop", "pods": {"app": "basket"}}],
            "egress": [{"cidr": "0.0.0.0/0", "ports": [443]}],
            "gateway_api": {"section": "https"},
            "watching": {"operator": False},
        },
        "redis": {"mode": "external", "egress": [{"cidr": "198.51.100.7/32", "ports": [6379]}]},
        "network": {"engines": [{"cidr": "0.0.0.0/0", "ports": [443]}]},
    },
    "prompts and answers apart": {
        "gpu": {"count": 4},
        "disaggregated": {
            "gateway": {
                "name": "inference",
                "namespace": "inference-gateway",
                "url": "http://inference.inference-gateway.svc.cluster.local",
                "pods": {"gateway.networking.k8s.io/gateway-name": "inference"},
                "port": 8080,
            },
            "models": {
                "pydoc-chat": {"prefill": {"replicas": 3, "gpus": 1}, "decode": {"replicas": 2, "gpus": 4}},
                "acme/Llama-4:8B@chat": {"prefill": {"replicas": 1, "gpus": 2}, "decode": {"replicas": 1, "gpus": 2}},
            },
        },
    },
    "a console with a checkout": {
        "console": {
            "checkout": {
                "image": IMAGE,
                "repository": "https://git.example.org/nexus/nexus.git",
                "branch": "main",
                "environment": "local",
                "secret": "nexus-console-git",
                "every_seconds": 60,
                "storage": "256Mi",
                "resources": {
                    "requests": {"cpu": "50m", "memory": "64Mi"},
                    "limits": {"cpu": "500m", "memory": "256Mi"},
                },
                "egress": [{"cidr": "203.0.113.9/32", "ports": [443]}],
            }
        }
    },
    "pods by the beginning of a prompt": {
        "prefix_routing": {
            "models": {
                "pydoc-chat": {"prefill_tokens_per_second": 15928, "ttft_penalty_seconds": 2},
                "acme/Llama-4:8B@chat": {"prefill_tokens_per_second": 39065, "ttft_penalty_seconds": 0.5, "slack": 8},
            }
        }
    },
}
"""Name -> what stands over an environment's settings."""


def settings_of(environment: str, *over: dict[str, Any]) -> Settings:
    """The environment's settings, every image built, with `over` over them, one after the other."""
    document = load_settings(ROOT, environment).model_dump(mode="json", by_alias=True)
    for layer in (BUILT, *over):
        document = _merged(document, layer)
    return Settings.model_validate(document)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    return base | {
        key: _merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in over.items()
    }
