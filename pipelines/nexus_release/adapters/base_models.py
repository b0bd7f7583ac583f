"""Base models by URI: `hf://org/name[@revision]`, `file://`, `s3://` and the like, `models:/name/version`."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from nexus_release.adapters.store import FolderStore
from nexus_release.digests import digest_folder
from nexus_release.errors import BadInput, DigestMismatch, Missing, MissingExtra, Unreachable
from nexus_release.inspection.checkpoint import inspect_checkpoint
from nexus_release.inspection.files import SUFFIXES

_TAKEN = SUFFIXES
"""Everything else of a model's folder is left where it is."""

_EVERYTHING, _CONFIG = "*", "config.json"
_REMOTE = ("s3", "gs")
_LARGEST = 1 << 40
"""Bytes of one model in a store or bucket."""
_STORED = re.compile(r"nexus-store:///(sha256)/([0-9a-f]{64})")
_IN_BUCKET = re.compile(r"(?:s3|gs)://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9_=.-]+)+")


class UriBaseModels:
    """The port `BaseModels`."""

    def __init__(self, registry: str, store: Path) -> None:
        """`store` is where the registry's `nexus-store:` addresses lead."""
        self._registry, self._store = registry, store

    def fetch(self, uri: str, into: Path) -> None:
        """Raises BadInput for an unknown scheme or a model that wants to run code, Missing, or Unreachable."""
        self._take(uri, into, _EVERYTHING)
        inspect_checkpoint(into, uri)

    def config(self, uri: str) -> Mapping[str, Any]:
        with tempfile.TemporaryDirectory(prefix="nexus-config-") as folder:
            self._take(uri, Path(folder), _CONFIG)
            try:
                document = json.loads(Path(folder, _CONFIG).read_bytes())
            except FileNotFoundError:
                raise Missing(f"base model {uri}: it has no {_CONFIG}") from None
            except (ValueError, RecursionError) as error:
                raise BadInput("train.base", uri, f"its {_CONFIG} is no JSON: {error}") from None
        if not isinstance(document, dict):
            raise BadInput("train.base", uri, f"its {_CONFIG} is no JSON object")
        return document

    def _take(self, uri: str, into: Path, pattern: str) -> None:
        scheme = urlsplit(uri).scheme
        if scheme == "hf":
            _from_hub(uri, into, pattern)
        elif scheme == "file":
            _copy(uri, _folder(uri), into, pattern)
        elif scheme == "models":
            self._from_registry(uri, into, pattern)
        elif scheme in _REMOTE:
            _from_storage(uri, into, pattern)
        else:
            raise BadInput("train.base", uri, "give scratch://, hf://, file://, s3://, gs:// or models:/")

    def _from_registry(self, uri: str, into: Path, pattern: str) -> None:
        name, _, version = uri.removeprefix("models:/").rpartition("/")
        if not name or not version.isdigit():
            raise BadInput("train.base", uri, "write models:/<name>/<version>; an alias may move while a release runs")
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        try:
            found = MlflowClient(self._registry, self._registry).get_model_version(name, version)
        except MlflowException as error:
            kind = Missing if error.error_code == "RESOURCE_DOES_NOT_EXIST" else Unreachable
            raise kind(f"base model {uri}: {str(error).splitlines()[0]}") from None
        self.take(uri, str(found.source), found.tags.get("nexus.artifact"), into, pattern)

    def take(self, uri: str, source: str, digest: str | None, into: Path, pattern: str = _EVERYTHING) -> None:
        """What a registry says is not trusted: its address is one of two exact forms, and the bytes that come are held
        against the digest that the version was registered with, where all of them do."""
        if stored := _STORED.fullmatch(source):
            held = f"{stored[1]}:{stored[2]}"
            if digest is not None and digest != held:
                raise DigestMismatch(f"{uri}: its source", digest, held)
            _copy(uri, FolderStore(self._store).get(held), into, pattern)
            return
        if not _IN_BUCKET.fullmatch(source) or "/../" in f"{source}/" or "/./" in f"{source}/":
            raise BadInput("train.base", uri, f"its weights are at {source[:200]!r}, which is no store of ours")
        _from_storage(source, into, pattern)
        if pattern == _EVERYTHING and digest is not None and (found := digest_folder(into)) != digest:
            raise DigestMismatch(f"{uri}: {source}", digest, found)


def _is_taken(path: PurePath, pattern: str) -> bool:
    return path.suffix in _TAKEN and path.match(pattern)


def _folder(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise BadInput("train.base", uri, "write file:///absolute/path; a file:// URI names no other host")
    return Path(unquote(parts.path))


def _copy(uri: str, folder: Path, into: Path, pattern: str) -> None:
    if folder.is_file():
        raise BadInput("train.base", uri, "it is a file; a model is a folder, and archives are never unpacked here")
    if not folder.is_dir():
        raise Missing(f"base model {uri}: no such folder")
    for path in sorted(folder.iterdir()):
        if not _is_taken(path, pattern):
            continue
        if path.is_symlink() or not path.is_file():
            raise BadInput("train.base", uri, f"{path.name} is no plain file; copy the folder with cp -rL first")
        shutil.copyfile(path, into / path.name)


def _from_hub(uri: str, into: Path, pattern: str) -> None:
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
            allow_patterns=[f"*{suffix}" for suffix in sorted(_TAKEN)] if pattern == _EVERYTHING else [pattern],
            ignore_patterns=["*/*"],  # other formats of the same weights
        )
    except HFValidationError as error:
        raise BadInput("train.base", uri, str(error).splitlines()[0]) from None
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise Missing(f"base model {uri}: {str(error).splitlines()[0]}") from None
    except (HfHubHTTPError, OSError) as error:
        raise Unreachable(f"base model {uri}: {str(error).splitlines()[0]}") from None
    shutil.rmtree(into / ".cache", ignore_errors=True)


def _from_storage(uri: str, into: Path, pattern: str) -> None:
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(uri)
        taken = [entry for entry in files.ls(root, detail=True) if _is_taken(PurePosixPath(entry["name"]), pattern)]
        if sum(int(entry.get("size") or 0) for entry in taken) > _LARGEST:
            raise BadInput("train.base", uri, f"it is larger than {_LARGEST} bytes")
        for entry in taken:
            files.get_file(entry["name"], str(into / PurePosixPath(entry["name"]).name))
    except BadInput:
        raise
    except ImportError as error:
        raise MissingExtra("remote-data", f"{urlsplit(uri).scheme}:// ({error})") from None
    except FileNotFoundError:
        raise Missing(f"base model {uri}: no such folder") from None
    except Exception as error:  # each of fsspec's back ends has errors of its own
        raise Unreachable(f"base model {uri}: {type(error).__name__}: {error}") from error
