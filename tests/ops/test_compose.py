"""The stack of `make compose`, with each engine, with and without the way of the logs: read by Compose itself, and held
to what its parts need of each other."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from ..support.docker_compose import FOLDER, Composed, run_stack, stack
from ..support.repository import ROOT, tracked_files

ENGINES = ("worker", "vllm", "sglang")
ALWAYS = {"gateway", "model-worker", "redis", "prometheus", "alertmanager", "grafana", "mlflow", "postgres"}
LOGS = {"kafka", "topics", "elasticsearch", "kibana", "bootstrap", "vector-collect", "vector-store"}
ONCE = {"topics", "bootstrap"}
"""Services that end."""
WRITES = {"mlflow", "kafka", "topics", "elasticsearch", "kibana"}
"""Others' images that write beside their volumes, or of which nobody here could see that they do not."""
PROMETHEUS = ROOT / "ops" / "prometheus"
GRAFANA = ROOT / "ops" / "grafana" / "provisioning"
PROGRAMS = {
    "nexus-gateway": {"python"},  # of Python's image
    "nexus-worker": {"python"},
    "redis": {"redis-cli", "grep"},  # Alpine
    "prom/prometheus": {"wget"},  # Busybox
    "prom/alertmanager": {"wget"},
    "grafana/grafana": {"wget"},  # Alpine
    "vllm/vllm-openai": {"python3"},
    "lmsysorg/sglang": {"python3"},
    "postgres": {"pg_isready"},
    "mlflow": {"python"},
}
"""What the images have for their health checks."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compose")
    for name in ("mlflow", "nexus", "logging"):
        script = [sys.executable, str(FOLDER / "passwords.py"), "--of", name, str(folder / f"{name}.env")]
        subprocess.run(script, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module", params=itertools.product(ENGINES, ("", "1")), ids="-logging=".join)
def composed(request: pytest.FixtureRequest, state: Path) -> Composed:
    engine, logging = request.param
    model = {} if engine == "worker" else {"MODEL_ID": "a/model"}
    return stack(state, ENGINE=engine, LOGGING=logging, **model)


@pytest.fixture(scope="module")
def whole(state: Path) -> Composed:
    return stack(state, LOGGING="1")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, state: Path) -> dict[str, Any]:
    return stack(state, ENGINE=request.param, MODEL_ID="a/model").services["model-worker"]


def test_compose_takes_each_stack_without_a_word(composed: Composed) -> None:
    services = composed.services.keys()
    assert composed.done.stderr == "", "such as: a variable is not set"
    assert composed.name == "nexus"
    assert services - LOGS == ALWAYS
    assert services & LOGS in (set(), LOGS)


@pytest.mark.parametrize(
    ("variables", "emptied", "said"),
    [
        ({"ENGINE": "vllm"}, None, "say which model: make compose ENGINE=vllm MODEL_ID="),
        ({"ENGINE": "sglang"}, None, "say which model: make compose ENGINE=sglang MODEL_ID="),
        ({"ENGINE": "triton"}, None, "ENGINE is 'triton': give worker, vllm or sglang"),
        ({}, "nexus", "run python3 ops/compose/passwords.py --of nexus"),
        ({}, "mlflow", "run python3 ops/compose/passwords.py"),
        ({"LOGGING": "1"}, "logging", "run python3 ops/compose/passwords.py --of logging"),
    ],
)
def test_what_is_missing_is_said(
    state: Path, tmp_path: Path, variables: dict[str, str], emptied: str | None, said: str
) -> None:
    for name in ("mlflow", "nexus", "logging"):
        (tmp_path / f"{name}.env").write_text("" if name == emptied else (state / f"{name}.env").read_text())
    done = stack(tmp_path, **variables).done
    assert done.returncode != 0
    assert said in done.stderr


def test_each_service_says_when_it_is_well_and_has_limits(composed: Composed) -> None:
    for name, service in composed.services.items():
        assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys(), name
        assert ("healthcheck" in service) is (name not in ONCE), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        gpu = "devices" in service["deploy"]["resources"].get("reservations", {})
        assert service.get("read_only", False) is not (name in WRITES or gpu), name
        if "build" in service or name in {"redis", "prometheus", "alertmanager", "grafana"}:
            assert service["cap_drop"] == ["ALL"], name


def test_health_checks_call_what_their_images_have(composed: Composed) -> None:
    for name in ALWAYS:
        service = composed.services[name]
        kind, *words = service["healthcheck"]["test"]
        image = next(key for key in PROGRAMS if re.search(rf"(^|/){key}(:|@|$)", service["image"]))
        called = {words[0]} if kind == "CMD" else {one.split()[0] for one in words[0].split("|")}
        assert called <= PROGRAMS[image], name


def test_only_what_people_open_has_a_port_and_only_on_this_machine(composed: Composed) -> None:
    ports = {name: one["ports"][0] for name, one in composed.services.items() if name not in LOGS and "ports" in one}
    assert {name: int(port["published"]) for name, port in ports.items()} == {
        "gateway": 8000,
        "prometheus": 9090,
        "grafana": 3000,
        "alertmanager": 9093,
        "mlflow": 5000,
    }
    assert {port["host_ip"] for one in composed.services.values() for port in one.get("ports", [])} == {"127.0.0.1"}


def test_a_variable_opens_the_gateway_alone(state: Path) -> None:
    services = stack(state, GATEWAY_ADDRESS="0.0.0.0:8443").services
    (port,) = services["gateway"]["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("0.0.0.0", "8443", 8000)
    assert services["prometheus"]["ports"][0]["host_ip"] == "127.0.0.1"


def test_engines_and_redis_are_reached_by_who_asks_them_alone(composed: Composed) -> None:
    on = {name: set(one["networks"]) for name, one in composed.services.items()}
    assert composed.networks["engines"]["internal"] is composed.networks["limits"]["internal"] is True
    assert {name for name, networks in on.items() if "engines" in networks} == {"gateway", "prometheus", "model-worker"}
    assert {name for name, networks in on.items() if "limits" in networks} == {"gateway", "redis"}
    assert on["redis"] == {"limits"}


def test_everything_that_is_mounted_is_there_and_has_a_place(composed: Composed, state: Path) -> None:
    tracked = {str(path) for path in tracked_files()}
    made = {"gateway", "alertmanager", "alertmanager/webhook-token"}  # by the first start: test_compose_start.py
    for name, service in composed.services.items():
        mounts = service.get("volumes", [])
        binds = {one["target"]: one["source"] for one in mounts if one["type"] == "bind"}
        for target, source in binds.items():
            if source.startswith(str(state)):
                assert Path(source).relative_to(state / "secrets").as_posix() in made
            elif source != "/var/run/docker.sock":
                assert any(path == source or path.startswith(f"{source}/") for path in tracked), (name, source)
            assert next(one for one in mounts if one["target"] == target)["read_only"]
        for mount in mounts:
            assert not _without_a_place(mount["target"], binds), (name, mount["target"])


def _without_a_place(target: str, binds: dict[str, str]) -> bool:
    """Whether it lies within a folder that is mounted, and that has no such file: Docker could make none."""
    for parent in PurePosixPath(target).parents:
        if (source := binds.get(str(parent))) is not None:
            return not (Path(source) / PurePosixPath(target).relative_to(parent)).exists()
    return False


def test_a_mount_without_a_place_is_found() -> None:
    binds = {"/etc/alertmanager": str(ROOT / "ops" / "alertmanager")}
    assert _without_a_place("/etc/alertmanager/secrets", binds)
    assert not _without_a_place("/etc/alertmanager/templates", binds)


def targets() -> Iterator[str]:
    for name in ("alertmanager", "engines", "gateway", "logs"):
        for group in yaml.safe_load((PROMETHEUS / "targets" / f"{name}.yaml").read_text()):
            yield from group["targets"]


def test_prometheus_reaches_everything_that_it_scrapes(whole: Composed) -> None:
    asks = whole.services["prometheus"]
    listening = {
        "gateway": "--port=8000",
        "model-worker": "--port=8080",
        "alertmanager": ":9093/",
        "vector-collect": ":9598",
        "vector-store": ":9598",
    }
    assert {one.partition(":")[0] for one in targets()} == listening.keys()
    for target in targets():
        host, _, port = target.partition(":")
        service = whole.services[host]
        assert set(service["networks"]) & set(asks["networks"]), target
        if host.startswith("vector-"):
            figures = yaml.safe_load((ROOT / f"ops/vector/{host.removeprefix('vector-')}.yaml").read_text())["sinks"]
            told = figures["figures"]["address"]
        else:
            told = " ".join([*service["command"], *service["healthcheck"]["test"]])
        assert port in listening[host]
        assert listening[host] in told, target
    files = {mount["target"]: mount["source"] for mount in asks["volumes"] if mount["type"] == "bind"}
    assert files == {"/etc/prometheus": str(PROMETHEUS)}, "whose rules and targets it names from there"


def test_grafana_is_told_all_that_its_files_name(whole: Composed) -> None:
    grafana = whole.services["grafana"]
    text = "\n".join(path.read_text() for path in GRAFANA.rglob("*.yml"))
    told = {name: value for name, value in grafana["environment"].items() if name.startswith("NEXUS_")}
    mounts = {mount["target"]: mount["source"] for mount in grafana["volumes"] if mount["type"] == "bind"}
    assert told.keys() == set(re.findall(r"\$\{(\w+)\}", text))
    assert set(re.findall(r"\$__file\{(.+?)\}", text)) <= mounts.keys()
    assert mounts["/etc/grafana/provisioning"] == str(GRAFANA)
    assert mounts[told["NEXUS_DASHBOARDS"]] == str(ROOT / "ops" / "grafana" / "dashboards")
    for name in ("prometheus", "alertmanager"):
        (port,) = whole.services[name]["ports"]
        assert told[f"NEXUS_{name.upper()}_URL"] == f"http://{name}:{port['target']}"
        assert set(whole.services[name]["networks"]) & set(grafana["networks"])
    alertmanager = yaml.safe_load((ROOT / "ops/alertmanager/alertmanager.yml").read_text())
    (webhook,) = (
        hook["url"]
        for receiver in alertmanager["receivers"]
        if receiver["name"] == "on-call"
        for hook in receiver["webhook_configs"]
    )
    assert told["NEXUS_ALERT_WEBHOOK"] == webhook, "the pager, whose token it is told"


def test_the_gateway_s_route_leads_to_each_engine_by_the_name_that_it_serves(engine: dict[str, Any]) -> None:
    document = yaml.safe_load((FOLDER / "routes.d" / "chat.yaml").read_text())
    assert document["upstreams"]["model-worker"]["url"] == "http://model-worker:8080"
    (model,) = document["routes"]
    words = " ".join(engine["command"])
    assert "--host=0.0.0.0 --port=8080" in words
    assert f"--served-model-name={model}" in words
    assert "engines" in engine["networks"]


def test_an_engine_is_well_once_it_has_its_model(state: Path) -> None:
    def asked(engine: str, **more: str) -> tuple[str, dict[str, str]]:
        service = stack(state, ENGINE=engine, MODEL_ID="a/model", **more).services["model-worker"]
        return service["healthcheck"]["test"][-1], service["environment"]

    assert "http://127.0.0.1:8080/v1/models" in asked("vllm")[0]
    test, told = asked("sglang", HEALTH_URL="http://127.0.0.1:8080/health_generate")
    assert "os.environ['HEALTH_URL']" in test
    assert told["HEALTH_URL"] == "http://127.0.0.1:8080/health_generate"
    assert asked("sglang")[1]["HEALTH_URL"] == "http://127.0.0.1:8080/health"


def test_the_gateway_s_lines_and_audit_are_collected(whole: Composed) -> None:
    gateway, vector = whole.services["gateway"], whole.services["vector-collect"]
    label, _, value = "nexus.logs=gateway".partition("=")
    assert gateway["labels"][label] == value
    assert f"{label}={value}" in (ROOT / "ops/vector/collect.yaml").read_text()
    audit = [next(one for one in each["volumes"] if one.get("source") == "audit") for each in (gateway, vector)]
    assert f"--audit={audit[0]['target']}" in gateway["command"]
    assert audit[0]["target"] == audit[1]["target"]


def test_what_the_gateway_writes_is_its_user_s_in_the_image(whole: Composed) -> None:
    (line,) = re.findall(
        r"RUN install --directory --owner 1000 --group 1000 (.+)", (ROOT / "gateway/Dockerfile").read_text()
    )
    mounts = whole.services["gateway"]["volumes"]
    assert set(line.split()) == {one["target"] for one in mounts if one["type"] == "volume"}


def test_our_images_are_built_here_on_a_base_that_can_be_given(state: Path) -> None:
    built = {name: one["build"] for name, one in stack(state).services.items() if "build" in one}
    other = stack(state, NEXUS_BASE="python:3.12", IMAGE_REPO="registry.example.com/nexus", IMAGE_TAG="7").services
    assert built.keys() == {"gateway", "model-worker"}
    for name, build in built.items():
        dockerfile = (Path(build["context"]) / build["dockerfile"]).read_text()
        assert "ARG BASE=" in dockerfile
        assert re.search(rf"FROM base AS {build['target']}$", dockerfile, re.MULTILINE)
        assert not build.get("args"), "so that the Dockerfile's base holds"
        assert other[name]["build"]["args"] == {"BASE": "python:3.12"}
    assert other["gateway"]["image"] == "registry.example.com/nexus/nexus-gateway:7"


def test_images_are_those_that_a_cluster_runs() -> None:
    given = dict(re.findall(r"(?m)^(\w+)=(\S+)", (FOLDER / "images.env").read_text()))
    overlays = "\n".join(path.read_text() for path in (ROOT / "gitops" / "overlays").rglob("*.yaml"))
    for name in ("REDIS_IMAGE", "VLLM_IMAGE", "SGLANG_IMAGE"):
        assert f"image: {given[name]}\n" in overlays, name
    assert not any(image.endswith(":latest") or ":" not in image for image in given.values())


def test_without_a_word_it_says_what_it_takes(tmp_path: Path) -> None:
    done = run_stack(tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "compose: say what to do: up, down, or other words of docker compose\n",
    )
