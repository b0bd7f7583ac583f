"""Named base models: every source gives the same files, and none brings code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nexus_release.adapters.base_models import UriBaseModels
from nexus_release.adapters.mlflow_registry import MlflowRegistry
from nexus_release.adapters.store import FolderStore
from nexus_release.errors import BadInput, DigestMismatch, Missing, NexusError, Unreachable
from nexus_release.ports import RegistryEntry

from ..support import bucket
from ..support.web import Reply, Web, serve

COMMIT = "c" * 40
FILES = {
    "config.json": b'{"model_type": "qwen2"}',
    "model.safetensors": b"\2\0\0\0\0\0\0\0{}",
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
}
OTHERS = {"pytorch_model.bin": b"\x80", "modeling.py": b"import os", "README.md": b"#", "onnx/config.json": b"{}"}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    for name, data in (FILES | OTHERS).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[[str], dict[str, bytes]]:
    def fetched(uri: str) -> dict[str, bytes]:
        into = tmp_path / "into"
        into.mkdir()
        UriBaseModels("http://127.0.0.1:9", tmp_path / "store").fetch(uri, into)
        return {path.relative_to(into).as_posix(): path.read_bytes() for path in into.rglob("*") if path.is_file()}

    return fetched


@pytest.fixture
def hub(base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """What the Hub answers for one model, `org/model`."""

    def answer(path: str) -> Reply:
        path = path.partition("?")[0]
        if path.startswith(("/api/models/org/model/revision/", "/api/models/org/model/tree/")):
            files = sorted(FILES | OTHERS)
            if "/tree/" in path:
                return _json([{"type": "file", "path": f, "size": 1, "oid": f} for f in files])
            return _json({"id": "org/model", "sha": COMMIT, "siblings": [{"rfilename": f} for f in files]})
        if path.startswith(f"/org/model/resolve/{COMMIT}/"):
            data = (base / path.removeprefix(f"/org/model/resolve/{COMMIT}/")).read_bytes()
            return Reply(data, headers={"etag": f'"{hashlib.sha1(data).hexdigest()}"', "x-repo-commit": COMMIT})  # noqa: S324 - as Git's ids
        return Reply(b"", 404, {"x-error-code": "RepoNotFound"})

    from huggingface_hub import constants

    with serve(answer) as web:
        monkeypatch.setattr(constants, "ENDPOINT", web.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", web.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield web


def _json(value: object) -> Reply:
    return Reply(json.dumps(value).encode(), headers={"content-type": "application/json"})


def test_a_folder_gives_its_weights_and_settings_and_no_code(base: Path, fetch: Callable[[str], object]) -> None:
    assert fetch(base.as_uri()) == FILES


def test_an_object_store_does_so_too(
    base: Path, fetch: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "onnx" / "config.json").unlink()
    (base / "onnx").rmdir()
    bucket.upload(bucket.register(monkeypatch), base, "s3://models/base")
    assert fetch("s3://models/base") == FILES


def test_the_hub_does_so_too(hub: Web, fetch: Callable[[str], object]) -> None:
    assert fetch("hf://org/model@main") == FILES
    assert not any("modeling.py" in asked or ".bin" in asked for asked in hub.asked)


def test_what_the_hub_does_not_have_is_missing(hub: Web, fetch: Callable[[str], object]) -> None:
    with pytest.raises(Missing, match="hf://org/other"):
        fetch("hf://org/other")


def test_a_link_in_a_folder_is_named(base: Path, fetch: Callable[[str], object]) -> None:
    (base / "vocab.json").symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match=r"vocab\.json is no plain file"):
        fetch(base.as_uri())


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("config.json", b'{"auto_map": {"AutoModel": "x.Y"}}', "auto_map"),
        ("tokenizer_config.json", b'{"auto_map": {}}', "auto_map"),
        ("config.json", b"{", "no JSON"),
        ("config.json", None, "no config.json"),
        ("model.safetensors", None, "no safetensors"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "../../secret.safetensors"}}', "secret"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": 7}}', "names 7, which is no file"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "model-2.safetensors"}}', "model-2"),
    ],
)
def test_a_base_that_is_not_plain_weights_is_refused(
    base: Path, fetch: Callable[[str], object], name: str, data: bytes | None, told: str
) -> None:
    (base / name).unlink(missing_ok=True)
    if data is not None:
        (base / name).write_bytes(data)
    with pytest.raises(BadInput, match=told):
        fetch(base.as_uri())


@pytest.mark.parametrize(
    ("uri", "error"),
    [
        ("file:///no/such", Missing),
        ("file://other-host/base", BadInput),
        ("ftp://x/y", BadInput),
        ("hf://one", BadInput),
        ("hf://a b/c", BadInput),
        ("models:/m@champion", BadInput),
        ("models:/m/latest", BadInput),
        ("models:/m/1", Unreachable),
    ],
)
def test_a_base_that_cannot_be_used_is_named(
    uri: str, error: type[Exception], fetch: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(error) as caught:
        fetch(uri)
    assert uri in str(caught.value)


@pytest.mark.services
def test_a_registered_version_gives_what_its_release_put_into_the_store(
    base: Path, tmp_path: Path, mlflow_server: str
) -> None:
    store = FolderStore(tmp_path / "store")
    artifact = store.put(base)
    made = MlflowRegistry(mlflow_server).register(_entry(store.uri(artifact.digest), artifact.digest))
    models = UriBaseModels(mlflow_server, tmp_path / "store")
    into = tmp_path / "into"
    into.mkdir()
    models.fetch(made.uri, into)
    assert {path.name: path.read_bytes() for path in into.iterdir()} == FILES
    with pytest.raises(Missing, match="models:/base-model/7"):
        models.fetch("models:/base-model/7", into)
    (store.get(artifact.digest) / "config.json").write_text("{}")
    with pytest.raises(DigestMismatch):
        models.fetch(made.uri, into)


def _entry(uri: str, digest: str) -> RegistryEntry:
    return RegistryEntry(
        model="base-model",
        release="a" * 64,
        artifact_uri=uri,
        artifact_digest=digest,
        dataset_digest=digest,
        dataset_rows=1,
        parameters={},
        metrics={},
        content="{}",
    )


@pytest.mark.parametrize("source", ["file", "hub"])
def test_the_configuration_alone_comes_without_weights(source: str, base: Path, hub: Web, tmp_path: Path) -> None:
    """A model whose weights nobody could load still says its shape."""
    (base / "model.safetensors").write_bytes(b"no weights")
    models = UriBaseModels("http://127.0.0.1:9", tmp_path / "store")
    uri = base.as_uri() if source == "file" else "hf://org/model@main"
    assert models.config(uri) == json.loads(FILES["config.json"])


@pytest.mark.parametrize(
    ("data", "told"), [(b"{", "is no JSON"), (b"[]", "is no JSON object"), (None, "it has no config.json")]
)
def test_a_configuration_that_is_none_is_told(base: Path, tmp_path: Path, data: bytes | None, told: str) -> None:
    if data is None:
        (base / "config.json").unlink()
    else:
        (base / "config.json").write_bytes(data)
    with pytest.raises(NexusError, match=told):
        UriBaseModels("http://127.0.0.1:9", tmp_path / "store").config(base.as_uri())
