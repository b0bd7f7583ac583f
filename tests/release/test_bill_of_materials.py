"""Bills of materials: valid CycloneDX 1.6, the same bytes for the same parts, and nothing that the files do not say."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import cyclonedx.schema
import jsonschema_rs
import pytest
from click.testing import CliRunner

from nexus_release.bill_of_materials.licences import licences
from nexus_release.commands.bom import command
from nexus_release.data_declaration import Declaration
from nexus_release.digests import digest_bytes, digest_file
from nexus_release.errors import BadInput
from nexus_release.frozen import Artifact
from nexus_release.record import Figure
from nexus_release.steps.describe import DescribeIn, describe
from nexus_release.steps.quantize import QuantizeRecipe
from nexus_release.steps.train import TrainOut, TrainRecipe
from nexus_release.wiring import Connections, Tools

from ..support.releases import DECLARED
from ..support.repository import ROOT

FIGURES = (
    Figure(name="perplexity", value="0.00986", low="0.00712", high="0.01243", most="0.05", passed=True),
    Figure(name="accuracy", subject="capitals", value="0", low="0", high="0", passed=True),
)
BASE, SOURCE = "hf://somebody/base", digest_bytes(b"base")
LOCKS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "requirements").glob("*.txt"))


def cyclone(name: str) -> Any:
    return json.loads((Path(cyclonedx.schema.__file__).parent / "_res" / f"{name}.SNAPSHOT.schema.json").read_bytes())


@cache
def schema() -> jsonschema_rs.Validator:
    """With formats (times, addresses) held, and the schemas that it names read from the same package."""
    named = [
        (f"http://cyclonedx.org/schema/{name}.SNAPSHOT.schema.json", cyclone(name)) for name in ("spdx", "jsf-0.82")
    ]
    return jsonschema_rs.validator_for(
        cyclone("bom-1.6"), registry=jsonschema_rs.Registry(named), validate_formats=True
    )


def valid(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    assert [str(fault) for fault in schema().iter_errors(found)] == []
    return found


def checkpoint(folder: Path, **config: object) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(folder.name.encode())
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(Connections(work=(tmp_path / "work").as_uri(), registry="", remote="none"))


def bill(tools: Tools, artifact: Path, base: Path, declared: Declaration | None = None) -> str:
    stored: tuple[Artifact, Artifact] = (tools.store.put(artifact), tools.store.put(base))
    given = DescribeIn(
        model="acme/Llama-4:8B@chat",
        dataset=digest_bytes(b"dataset"),
        rows=4200,
        declaration=declared,
        train_recipe=TrainRecipe(base=BASE),
        trained=TrainOut(model=stored[1], source=SOURCE, first_loss="7.600", last_loss="2.100"),
        quantize_recipe=QuantizeRecipe(scheme="W8A8"),
        artifact=stored[0],
        figures=FIGURES,
    )
    out = describe(given, tools)
    assert describe(given, tools) == out
    return (tools.store.get(out.bill_of_materials) / "bom.cdx.json").read_text()


def test_a_model_s_bill_is_valid_and_says_what_it_is_made_of(tools: Tools, tmp_path: Path) -> None:
    artifact = checkpoint(tmp_path / "artifact", architectures=["Qwen2ForCausalLM"], model_type="qwen2")
    found = valid(bill(tools, artifact, checkpoint(tmp_path / "base", license="apache-2.0")))
    model = found["metadata"]["component"]
    assert (model["type"], model["name"]) == ("machine-learning-model", "acme/Llama-4:8B@chat")
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}], "as its base states"
    (base,) = model["pedigree"]["ancestors"]
    assert base["name"] == SOURCE
    card = model["modelCard"]
    assert card["modelParameters"]["modelArchitecture"] == "Qwen2ForCausalLM"
    assert card["modelParameters"]["datasets"] == [{"ref": "dataset"}]
    perplexity, accuracy = card["quantitativeAnalysis"]["performanceMetrics"]
    assert accuracy["slice"] == "capitals"
    assert perplexity["confidenceInterval"] == {"lowerBound": "0.00712", "upperBound": "0.01243"}
    properties = {one["name"]: one["value"] for one in model["properties"]}
    assert properties["nexus:quantize.scheme"] == "W8A8"
    assert BASE not in json.dumps(found), "an address is not what a model is made of"
    files = {one["name"]: one["hashes"] for one in found["components"] if one["type"] == "file"}
    assert files == {
        path.name: [{"alg": "SHA-256", "content": digest_file(path).removeprefix("sha256:")}]
        for path in artifact.iterdir()
    }


def test_a_bill_says_whose_the_data_is_and_what_it_may_be_used_for(tools: Tools, tmp_path: Path) -> None:
    declared = DECLARED.model_copy(update={"contains_personal_data": True})
    found = valid(bill(tools, checkpoint(tmp_path / "artifact"), checkpoint(tmp_path / "base"), declared))
    (data,) = (part for part in found["components"] if part["type"] == "data")
    assert data["licenses"] == [{"license": {"id": "CC-BY-4.0"}}]
    (dataset,) = data["data"]
    assert dataset["governance"]["owners"] == [{"organization": {"name": "the data team"}}]
    assert dataset["sensitiveData"] == ["personal data"]
    properties = {one["name"]: one["value"] for one in data["properties"]}
    assert (properties["nexus:rows"], properties["nexus:data.may_be_used_for"]) == ("4200", "support")


def test_it_has_no_clock_and_no_serial_number(tools: Tools, tmp_path: Path) -> None:
    found = valid(bill(tools, checkpoint(tmp_path / "artifact"), checkpoint(tmp_path / "base")))
    assert "serialNumber" not in found
    assert "timestamp" not in found["metadata"]


def test_every_reference_has_its_part(tools: Tools, tmp_path: Path) -> None:
    found = valid(bill(tools, checkpoint(tmp_path / "artifact"), checkpoint(tmp_path / "base")))
    parts = {part["bom-ref"] for part in walk(found) if "bom-ref" in part}
    assert {part["ref"] for part in walk(found) if "ref" in part} <= parts
    assert {name for one in found["dependencies"] for name in one.get("dependsOn", [])} <= parts


def walk(value: Any) -> list[dict[str, Any]]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return ([value] if isinstance(value, dict) else []) + [found for one in inner for found in walk(one)]


@pytest.mark.parametrize("config", [[], "text", {"license": 7}, {"architectures": "x"}, {"license": "a\nb"}, None])
def test_an_odd_configuration_states_nothing_and_stops_nothing(tools: Tools, tmp_path: Path, config: object) -> None:
    artifact, base = checkpoint(tmp_path / "artifact"), checkpoint(tmp_path / "base")
    for folder in (artifact, base):
        (folder / "config.json").write_text(json.dumps(config) if config is not None else "no JSON")
    assert "licenses" not in valid(bill(tools, artifact, base))["metadata"]["component"]


@pytest.mark.parametrize(
    ("stated", "names"),
    [
        ("mit", [{"license": {"id": "MIT"}}]),
        ("llama3.3", [{"license": {"name": "llama3.3"}}]),
        (["apache-2.0", "other"], [{"license": {"id": "Apache-2.0"}}, {"license": {"name": "other"}}]),
    ],
)
def test_a_licence_is_what_the_files_state(tmp_path: Path, stated: object, names: list[object]) -> None:
    folder = checkpoint(tmp_path / "base", license=stated)
    (folder / "NOTICE.txt").write_text("Made by people.")
    assert licences(folder) == [*names, {"license": {"name": "NOTICE.txt"}}]


def bom(*words: str) -> str:
    done = CliRunner().invoke(command, ["--name", "nexus-test", *words])
    if done.exception:
        raise done.exception
    return done.output


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_s_bill_lists_each_package_with_its_hashes(lock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = bom(lock)
    assert bom(lock) == text
    found = {part["purl"]: part for part in valid(text)["components"]}
    pins = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    assert {(part["name"], part["version"]) for part in found.values()} == set(pins)
    hashes = [one["content"] for part in found.values() for one in part["hashes"]]
    assert sorted(hashes) == sorted(re.findall(r"--hash=sha256:(\S+)", (ROOT / lock).read_text()))


def test_several_locks_are_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names = {part["name"] for part in valid(bom("requirements/run.txt", "requirements/torch.txt"))["components"]}
    assert {"torch", "mlflow"} <= names


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("six==1.17.0\n", "pin it by hash"),
        ("six>=1\n", "a lock holds"),
        ("-r other.txt\n", "a lock holds"),
        ("six @ https://example.org/six.whl\n", "a lock holds"),
        ("six==1.17.0 \\\n    --hash=md5:00\n", "pin it by hash|a lock holds"),
    ],
)
def test_what_is_not_pinned_by_its_bytes_is_in_no_bill(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "lock.txt").write_text(text)
    with pytest.raises(BadInput, match=told):
        bom(str(tmp_path / "lock.txt"))


DPKG = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u9
Description: GNU C Library: Shared libraries
 Package: this is text, not a field

Package: libstdc++6
Status: install ok installed
Architecture: amd64
Version: 12.2.0-14

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1:2.0

Package: held
Status: hold ok installed
Architecture: all
Version: 1:2.0~rc1
"""


def test_an_image_s_bill_lists_debian_s_packages_too(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text(DPKG)
    lock = "requirements/gateway.txt"
    both = valid(bom(str(ROOT / lock), "--debian", str(status)))["components"]
    names = [part["purl"] for part in both if part["purl"].startswith("pkg:deb/")]
    assert names == [
        "pkg:deb/debian/held@1%3A2.0~rc1?arch=all",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64",
        "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64",
    ]
    assert len(both) == len(names) + len(valid(bom(str(ROOT / lock)))["components"])


@pytest.mark.parametrize("text", ["no file of dpkg's", "Package: x\nVersion: 1\n"])
def test_what_is_no_status_of_dpkg_is_refused(tmp_path: Path, text: str) -> None:
    status = tmp_path / "status"
    status.write_text(text)
    with pytest.raises(BadInput, match="/var/lib/dpkg/status"):
        bom(str(ROOT / "requirements/gateway.txt"), "--debian", str(status))


IMAGES = {
    "gateway": ("gateway/Dockerfile", "gateway.txt"),
    "worker": ("serving/worker/Dockerfile", "worker.txt"),
    "release": ("pipelines/Dockerfile", "run.txt remote-data.txt kfp.txt"),
    "train": ("pipelines/Dockerfile", "run.txt torch.txt remote-data.txt kfp.txt"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_each_image_holds_the_bill_of_all_that_is_installed_in_it(name: str) -> None:
    path, locks = IMAGES[name]
    text = (ROOT / path).read_text().replace("\\\n", "")
    (words,) = re.findall(rf"nexus bom (.*?) +--debian /var/lib/dpkg/status --name nexus-{name} > /opt/nexus/bom", text)
    assert words.split() == [f"/locks/{lock}" for lock in locks.split()]
    text = re.sub(r"FROM base AS compiled\n.*?(?=FROM )", "", text, flags=re.DOTALL)  # its tools stay behind
    everything = {lock for _, several in IMAGES.values() for lock in several.split()}
    assert everything >= set(re.findall(r"-r /locks/(\S+)", text)), "what is installed stands in a bill"
