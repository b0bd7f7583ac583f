"""Objects held strictly against the classes of the kserve and kubernetes clients: unknown fields, wrong types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

KINDS = {"InferenceService": "V1beta1InferenceService", "ServingRuntime": "V1alpha1ServingRuntime"}
_SCALARS: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "datetime": str,
    "V1beta1MetricQuantity": str,  # a class without fields, written as Kubernetes writes quantities
}
_CONTAINER = re.compile(
    r"([Ll]ist|[Dd]ict)[\[(](?:str, ?)?(.+)[\])]"
)  # kserve writes dict(str, X), kubernetes Dict[str, X]


def kserve_faults(document: dict[str, Any]) -> list[str]:
    """Where `document` is not what its class says, as `path: fault`."""
    return list(_walk(KINDS[document["kind"]], document, document["kind"]))


def _walk(name: str, value: Any, path: str) -> Iterator[str]:
    if name == "object":
        return
    if inner := _CONTAINER.fullmatch(name):
        yield from _container(inner[1].lower(), inner[2], value, path)
    elif name in _SCALARS:
        if not isinstance(value, _SCALARS[name]) or (isinstance(value, bool) and name != "bool"):
            yield f"{path}: {value!r} is no {name}"
    else:
        yield from _model(_class(name), value, path)


def _container(kind: str, inner: str, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, {"list": list, "dict": dict}[kind]):
        yield f"{path}: {value!r} is no {kind}"
        return
    items = enumerate(value) if kind == "list" else value.items()
    for key, item in items:
        yield from _walk(inner, item, f"{path}.{key}")


def _model(model: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no {model.__name__}"
        return
    fields = {key: model.openapi_types[attribute] for attribute, key in model.attribute_map.items()}
    for key, item in value.items():
        if key in fields:
            yield from _walk(fields[key], item, f"{path}.{key}")
        else:
            yield f"{path}.{key}: unknown field of {model.__name__}"


def _class(name: str) -> Any:
    import kserve.models
    import kubernetes.client

    # kserve names some of Kubernetes' own by their Go package: K8sIoApiAutoscalingV2X is the client's V2X.
    own = re.sub(r"^K8sIoApi[A-Z][a-z]+(?=V\d)", "", name)
    return getattr(kserve.models, name, None) or getattr(kubernetes.client, own)
