"""Base models by URI: `hf://org/name[@revision]`, `file://`, `s3://` and the like, `models:/name/version`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from nexus_release.adapters.store import FolderStore
from nexus_release.errors import BadInput, Missing, MissingExtra, Unreachable

_TAKEN = {".safetensors", ".json", ".txt", ".model", ".jinja"}
"""Weights without code, configuration, vocabulary. Everything else of a model's folder is left where it is."""

_REMOTE = ("s3", "gs")


class UriBaseModels:
    """The port `BaseModels`."""

    def __init__(self, registry: str, store: Path) -> None:
        """`store` is where the registry's `nexus-store:` addresses lead."""
        self._registry, self._store = registry, store

    def fetch(self, uri: str, into: Path) -> None:
        """Raises BadInput for an unknown scheme or a model that wants to run code, Missing, or Unreachable."""
        scheme = urlsplit(uri).scheme
        if scheme == "hf":
            _from_hub(uri, into)
        elif scheme == "file":
            _copy(uri, _folder(uri), into)
        elif scheme == "models":
            self._from_registry(uri, into)
        elif scheme in _REMOTE:
            _from_storage(uri, into)
        else:
            raise BadInput("train.base", uri, "give scratch://, hf://, file://, s3://, gs:// or models:/")
        _refuse_code(uri, into)

    def _from_registry(self, uri: str, into: Path) -> None:
        name, _, version = uri.removeprefix("models:/").rpartition("/")
        if not name or not version.isdigit():
            raise BadInput("train.base", uri, "write models:/<name>/<version>; an alias may move while a release runs")
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        try:
            source = MlflowClient(self._registry, self._registry).get_model_version(name, version).source
        except MlflowException as error:
            kind = Missing if error.error_code == "RESOURCE_DOES_NOT_EXIST" else Unreachable
            raise kind(f"base model {uri}: {str(error).splitlines()[0]}") from None
        parts = urlsplit(source)
        if parts.scheme == "nexus-store":
            _copy(uri, FolderStore(self._store).get(parts.path.lstrip("/").replace("/", ":", 1)), into)
        elif parts.scheme in _REMOTE:
            _from_storage(source, into)
        else:
            raise BadInput("train.base", uri, f"its weights are at {source}, which is no store of ours")


def _folder(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise BadInput("train.base", uri, "write file:///absolute/path; a file:// URI names no other host")
    return Path(unquote(parts.path))


def _copy(uri: str, folder: Path, into: Path) -> None:
    if not folder.is_dir():
        raise Missing(f"base model {uri}: no such folder")
    for path in sorted(folder.iterdir()):
        if path.suffix not in _TAKEN:
            continue
        if path.is_symlink() or not path.is_file():
            raise BadInput("train.base", uri, f"{path.name} is no plain file; copy the folder with cp -rL first")
        shutil.copyfile(path, into / path.name)


def _from_hub(uri: str, into: Path) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    name, _, revision = uri.removeprefix("hf://").partition("@")
    if name.count("/") != 1:
        raise BadInput("train.base", uri, "write hf://organisation/model, with @revision to pin it")
    try:
        snapshot_download(
            name,
            revision=revision or None,
            local_dir=into,
            allow_patterns=[f"*{suffix}" for suffix in sorted(_TAKEN)],
            ignore_patterns=["*/*"],  # other formats of the same weights
        )
    except HFValidationError as error:
        raise BadInput("train.base", uri, str(error).splitlines()[0]) from None
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise Missing(f"base model {uri}: {str(error).splitlines()[0]}") from None
    except (HfHubHTTPError, OSError) as error:
        raise Unreachable(f"base model {uri}: {str(error).splitlines()[0]}") from None
    shutil.rmtree(into / ".cache", ignore_errors=True)


def _from_storage(uri: str, into: Path) -> None:
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(uri)
        names = [name for name in files.ls(root, detail=False) if os.path.splitext(name)[1] in _TAKEN]  # noqa: PTH122 - an object's key
        for name in names:
            files.get_file(name, str(into / name.rsplit("/", 1)[-1]))
    except ImportError as error:
        raise MissingExtra("remote-data", f"{urlsplit(uri).scheme}:// ({error})") from None
    except FileNotFoundError:
        raise Missing(f"base model {uri}: no such folder") from None
    except Exception as error:  # each of fsspec's back ends has errors of its own
        raise Unreachable(f"base model {uri}: {type(error).__name__}: {error}") from error


def _refuse_code(uri: str, folder: Path) -> None:
    if not any(folder.glob("*.safetensors")):
        raise BadInput("train.base", uri, "it has no safetensors; convert its weights first")
    if not (folder / "config.json").exists():
        raise BadInput("train.base", uri, "it has no config.json")
    for path in sorted(folder.glob("*config.json")):
        if "auto_map" in _read_json(uri, path):
            raise BadInput(
                "train.base", uri, f"its {path.name} asks for code of its own (auto_map), which is never run"
            )
    for path in sorted(folder.glob("*.index.json")):
        places = _read_json(uri, path).get("weight_map")
        for file in places.values() if isinstance(places, dict) else ():
            if not isinstance(file, str) or not (folder / Path(file).name).exists() or Path(file).name != file:
                raise BadInput("train.base", uri, f"its {path.name} names {str(file)[:80]!r}, which is no file of it")


def _read_json(uri: str, path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise BadInput("train.base", uri, f"its {path.name} is no JSON: {str(error)[:80]}") from None
    return document if isinstance(document, dict) else {}
