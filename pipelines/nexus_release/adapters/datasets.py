"""Datasets by URI: paths and `file://` by ourselves, everything else by fsspec."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nexus_release.errors import BadInput, Missing, MissingExtra, NexusError, Unreachable

LARGEST = 1 << 30
"""Bytes; a larger dataset wants to be sharded before one process reads it."""

_TRIES = 3
_PAUSE_SECONDS = 1.0  # doubled after each try
_REMOTE = ("s3", "gs", "http", "https")


class UriDatasets:
    """The port `Datasets`."""

    def read(self, uri: str) -> bytes:
        parts = urlsplit(uri)
        if parts.scheme in ("", "file"):
            return _read_file(uri, Path(unquote(parts.path) if parts.scheme else uri))
        if parts.scheme not in _REMOTE:
            raise BadInput("dataset", uri, f"give a path, file:// or one of {', '.join(f'{s}://' for s in _REMOTE)}")
        return _read_remote(uri)


def _read_file(uri: str, path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise _too_large(uri)
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise Missing(f"dataset {uri}: no such file") from None
    except OSError as error:
        raise NexusError(f"dataset {uri}: {error.strerror}") from None


def _read_remote(uri: str) -> bytes:
    import fsspec

    for attempt in range(_TRIES):
        try:
            with fsspec.open(uri, "rb") as file:
                data = bytes(file.read(LARGEST + 1))
        except ImportError as error:
            raise MissingExtra("remote-data", f"{urlsplit(uri).scheme}:// ({error})") from None
        except FileNotFoundError:
            raise Missing(f"dataset {uri}: no such object") from None
        except Exception as error:  # each of fsspec's back ends has errors of its own
            if attempt == _TRIES - 1:
                raise Unreachable(f"dataset {uri}: {type(error).__name__}: {error} ({_TRIES} tries)") from error
            time.sleep(_PAUSE_SECONDS * 2**attempt)
        else:
            if len(data) > LARGEST:
                raise _too_large(uri)
            return data
    raise Unreachable(f"dataset {uri}")


def _too_large(uri: str) -> BadInput:
    return BadInput("dataset", uri, f"it is larger than {LARGEST} bytes; release from a sample or a shard")
