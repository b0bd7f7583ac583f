"""The gateway's folder: its pods and doors, and in one ConfigMap its routes: a file per model, and one of policies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from nexus_release.config import Settings
from nexus_release.documents import yaml_text
from nexus_release.errors import BadInput
from nexus_release.manifests.disaggregated import route_url
from nexus_release.manifests.engines import ENGINES
from nexus_release.manifests.external_secrets import external_secret
from nexus_release.manifests.gateway_doors import gateway_doors
from nexus_release.manifests.gateway_pods import GATEWAY, gateway_pods
from nexus_release.manifests.gateway_watch import gateway_watch
from nexus_release.manifests.objects import Object, application, wave
from nexus_release.manifests.pods_by_name import choice_of, pods_url
from nexus_release.manifests.smoke import smoke
from nexus_release.names import model_slug, service_name
from nexus_release.plan import Plan
from nexus_release.pod_groups import disaggregation
from nexus_release.policies import Policies

ROUTES_FOLDER = "routes.d"
POLICIES_FILE = "_policies.yaml"  # no model's slug begins with an underscore
CONFIG_MAP = "nexus-gateway-routes"
MAX_BYTES = 900 * 1024  # a ConfigMap takes 1 MiB with its names and metadata


def gateway(folder: str, plans: Iterable[Plan], settings: Settings, policies: Policies | None) -> dict[str, str]:
    """The files of the gateway's folder. Raises BadInput where the routes would not fit into a ConfigMap."""
    routes = {f"{ROUTES_FOLDER}/{model_slug(plan.model)}.yaml": yaml_text(route(plan, settings)) for plan in plans}
    if policies is not None:
        routes[f"{ROUTES_FOLDER}/{POLICIES_FILE}"] = yaml_text(policies)
    size = sum(len(name.encode()) + len(text.encode()) for name, text in routes.items())
    if size > MAX_BYTES:
        raise BadInput(folder, f"{size} bytes of routes", f"a ConfigMap holds {MAX_BYTES}; use another environment")
    return {
        **{f"{folder}/{name}": text for name, text in routes.items()},
        **application(folder, _objects(settings), configMapGenerator=[_generator(sorted(routes), settings)]),
    }


def _objects(settings: Settings) -> dict[str, Object]:
    """{file: object}; empty where the gateway is a process of this machine."""
    if not settings.in_cluster:
        return {}
    return {
        **gateway_pods(settings, CONFIG_MAP),
        **gateway_doors(settings),
        **gateway_watch(settings),
        **_secrets(settings),
        **smoke(settings, CONFIG_MAP),
    }


def _secrets(settings: Settings) -> dict[str, Object]:
    named = settings.gateway.secrets
    if named.store is None:
        return {}
    return {
        f"externalsecret-{which}.yaml": external_secret(name, GATEWAY, settings.namespace, named.store)
        for which, name in (("keys", named.keys), ("probe", named.probe))
    }


def route(plan: Plan, settings: Settings) -> Object:
    """A model's route file. All releases are listed, retained ones too, so that a rollback changes the route alone."""
    return {
        "upstreams": dict(_upstream(plan, release, settings) for release in plan.releases),
        "routes": {
            plan.model: {
                "rollout": rollout(plan),
                "timeouts": settings.timeouts.model_dump(),
                **_split(plan),
            }
        },
    }


def rollout(plan: Plan) -> str:
    """The salt of the weighted choice, in hex: the same while weights change, another for other releases."""
    taking_part = {plan.stable.release, *([plan.canary.release] if plan.canary else [])}
    return hashlib.sha256("\n".join(sorted(taking_part)).encode()).hexdigest()


def shares(document: Mapping[str, object]) -> dict[str, int]:
    """Upstream -> percent of a model's traffic, of a route file that `route` has made; the rest have none."""
    found: dict[str, int] = {}
    routes = document["routes"]
    assert isinstance(routes, Mapping)  # noqa: S101 - narrows for mypy; `route` makes it one
    for target in routes.values():
        if target["strategy"] == "direct":
            split = {target["upstream"]: 100}
        else:
            split = {target["primary"]: 100 - target["percent"], target["canary"]: target["percent"]}
        found |= {name: percent for name, percent in split.items() if percent}
    return found


def _split(plan: Plan) -> Object:
    stable = service_name(plan.model, plan.stable.release)
    if plan.canary is None or plan.canary.weight == 0:
        return {"strategy": "direct", "upstream": stable}
    canary = service_name(plan.model, plan.canary.release)
    return {"strategy": "canary", "primary": stable, "canary": canary, "percent": plan.canary.weight}


def _upstream(plan: Plan, release: str, settings: Settings) -> tuple[str, Object]:
    name = service_name(plan.model, release)
    # KServe's Service in Standard mode, on port 80.
    url = f"http://{name}-predictor.{settings.namespace}.{settings.domain}"
    if disaggregation(plan.model, release, settings) is not None:
        url = route_url(plan.model, release, settings)
    place: Object = {"url": url}
    if (choice := choice_of(plan.model, release, settings)) is not None:
        place = {"service": pods_url(name, settings), "choice": {"strategy": "prefix", **choice.model_dump()}}
    engine = ENGINES[settings.runtime]
    apart = {"prefix_cache": "tenant"} if engine.salts and settings.serving.prefix_cache == "tenant" else {}
    return name, {**place, "release": release, "apis": list(engine.apis), **apart}


def _generator(files: list[str], settings: Settings) -> Object:
    return {
        "name": CONFIG_MAP,
        "namespace": settings.namespace,
        **({"files": files} if files else {}),
        # Without a suffix the ConfigMap is changed in place: the gateway follows the mounted folder, no pod restarts.
        "options": {"disableNameSuffixHash": True, "annotations": wave("ConfigMap")},
    }
