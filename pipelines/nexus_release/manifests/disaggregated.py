"""The LLMInferenceService of one release whose prompts and answers are computed by different pods.

In KServe's v1alpha2, which it stores: an object of v1alpha1 would come back as another. Images, flags and rights of the
routing sidecar and of the endpoint picker are not here: KServe's own LLMInferenceServiceConfig merges them in, as its
storage initializer is, and they go with its version. All that is here of a container wins over that.
"""

from __future__ import annotations

import json

from nexus_release.config import Settings
from nexus_release.disaggregation_settings import InferenceGateway
from nexus_release.manifests.engines import ENGINES
from nexus_release.manifests.inference import provenance, resources, storage_uri
from nexus_release.manifests.objects import MODEL, NAME, PREFIX, Object, labels, wave
from nexus_release.manifests.peers import NAMES, pods_of, rules, tcp
from nexus_release.manifests.runtimes import MODEL_FOLDER, engine_container, engine_volumes, gpu_nodes, pod_security
from nexus_release.names import model_slug, service_name
from nexus_release.pod_groups import PodGroup, placed
from nexus_release.record import Content, Record, release_id

SERVING, BEHIND_SIDECAR = 8000, 8001
"""What a pod answers on; of decode pods that is the sidecar, and the engine is behind it."""
HANDSHAKE = 5600
"""On which prefill tells decode where the KV cache lies. The cache itself goes by UCX: by RDMA, else by TCP on ports
that it chooses."""
COMPONENT, ROLE = "kserve.io/component", "llm-d.ai/role"
WORKLOAD = {COMPONENT: "workload"}
"""Labels that KServe gives every such pod, besides the service's name."""
_PICKER = {"app.kubernetes.io/component": "llminferenceservice-router-scheduler"}
_PICKER_ASKED, _PICKER_FIGURES = 9002, 9090
_ASKS_API_SERVER = "the routing sidecar of decode pods learns from the API server which pods are the model's"
KV_TRANSFER = json.dumps(
    # The roles are the request's, not the pod's: the connector itself knows no difference. A lost cache is an error,
    # that the gateway answers by asking again; computed anew in a decode pod it would hold up all others there.
    {"kv_connector": "NixlConnector", "kv_role": "kv_both", "kv_load_failure_policy": "fail"},
    separators=(",", ":"),
)


def llm_inference_service(record: Record, settings: Settings) -> Object:
    """Raises BadInput where a half does not hold the model."""
    content, gateway = record.content, _gateway(settings)
    prefill, decode = placed(content, settings)
    name, own = service_name(content.model, release_id(content)), {MODEL: model_slug(content.model)}
    return {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            "labels": labels(**own),
            "annotations": {
                **wave("LLMInferenceService"),
                **provenance(record),
                PREFIX + "needs-token": _ASKS_API_SERVER,
            },
        },
        "spec": {
            "model": {"name": content.model, "uri": storage_uri(settings.artifacts, content.artifact.digest)},
            "labels": own,  # of the pods
            "replicas": decode.most,
            "template": _template(content, settings, decode, BEHIND_SIDECAR),
            "prefill": {
                "labels": own,
                "replicas": prefill.most,
                "template": {
                    "automountServiceAccountToken": False,
                    **_template(content, settings, prefill, SERVING),
                },
            },
            "router": {
                "gateway": {"refs": [{"name": gateway.name, "namespace": gateway.namespace}]},
                "route": {},
                "scheduler": {},
            },
        },
    }


def route_url(model: str, release: str, settings: Settings) -> str:
    """Where the endpoint picker is asked: KServe's route, which takes the path away again."""
    return f"{_gateway(settings).url}/{settings.namespace}/{service_name(model, release)}"


def halves_network(model: str, release: str, settings: Settings) -> dict[str, Object]:
    """{file name: NetworkPolicy}: the release's pods among themselves on any port, since UCX chooses its own; its
    endpoint picker; nobody else but the proxies and whoever watches."""
    service, gateway = service_name(model, release), _gateway(settings)
    proxies = pods_of(gateway.namespace, gateway.pods)
    watching = pods_of(settings.gateway.watching.namespace, {})
    pods: Object = {"matchLabels": {NAME: service, **WORKLOAD}}
    picker: Object = {"matchLabels": {NAME: service, **_PICKER}}
    own, ask, api = {"podSelector": pods}, {"podSelector": picker}, rules(settings.pods.api_server)
    policies: dict[str, tuple[Object, list[Object], list[Object]]] = {
        f"{service}-halves": (
            pods,
            [
                {"from": [own]},
                {"from": [proxies, ask], "ports": tcp(SERVING)},
                {"from": [watching], "ports": tcp(SERVING, BEHIND_SIDECAR)},
            ],
            [NAMES, {"to": [own]}, *api, *rules(settings.network.engines)],
        ),
        f"{service}-picker": (
            picker,
            [
                {"from": [proxies], "ports": tcp(_PICKER_ASKED)},
                {"from": [watching], "ports": tcp(_PICKER_FIGURES)},
            ],
            [NAMES, {"to": [own], "ports": tcp(SERVING)}, *api],
        ),
    }
    return {
        f"networkpolicy-{name}.yaml": _policy(name, model_slug(model), settings, *said)
        for name, said in sorted(policies.items())
    }


def _gateway(settings: Settings) -> InferenceGateway:
    gateway = settings.disaggregated.gateway
    assert gateway is not None  # noqa: S101 - narrows for mypy; `Disaggregated` holds it wherever a model is named
    return gateway


def _template(content: Content, settings: Settings, pods: PodGroup, port: int) -> Object:
    engine = ENGINES[settings.runtime]
    arguments = [
        *engine.listens(MODEL_FOLDER, port),
        *engine.serves(content.model, settings, pods.placement),
        f"--kv-transfer-config={KV_TRANSFER}",
    ]
    address = {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}
    variables: list[Object] = [
        {"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom": address},
        {"name": "VLLM_NIXL_SIDE_CHANNEL_PORT", "value": str(HANDSHAKE)},
    ]
    container = engine_container(
        "main",  # by this name KServe knows the container that serves
        engine,
        settings,
        variables,
        port,
        args=arguments,
        resources=resources(settings, pods.placement),
    )
    return {
        "containers": [container],
        "securityContext": pod_security(),
        "volumes": engine_volumes(settings),
        **gpu_nodes(settings),
    }


def _policy(
    name: str, slug: str, settings: Settings, pods: Object, ingress: list[Object], egress: list[Object]
) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            "labels": labels(**{MODEL: slug}),
            "annotations": wave("NetworkPolicy"),
        },
        "spec": {"podSelector": pods, "policyTypes": ["Ingress", "Egress"], "ingress": ingress, "egress": egress},
    }
