"""What an import gives, as files: checked by the gateway's own loader, and then all of them at once or none."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nexus_gateway.config_errors import ConfigRefused
from nexus_gateway.importing.report import Variable
from nexus_gateway.importing.translate import Imported
from nexus_gateway.keys import read_keys
from nexus_gateway.snapshot import Source, load

ROUTES = "routes.d"
KEYS = "keys.yaml"
VARIABLES = "gateway.env"
REPORT = "REPORT.md"


def texts_of(imported: Imported) -> dict[str, str]:
    """Name of a file below the folder -> its text."""
    found = {f"{ROUTES}/{name}.yaml": _yaml(document) for name, document in imported.files.items()}
    if imported.keys is not None:
        found[KEYS] = _yaml(imported.keys)
    if imported.report.variables:
        found[VARIABLES] = "".join(map(_variable, imported.report.variables))
    return found | {REPORT: imported.report.page()}


def write(imported: Imported, folder: Path) -> None:
    """Raises ConfigRefused; the folder is then as it was. It must not be there, or be empty."""
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise ConfigRefused(f"{folder}: is there already: name a new folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".import-") as temporary:
            fresh = Path(temporary) / "files"
            _put(fresh, texts_of(imported))
            check(fresh)
            fresh.rename(folder)
    except OSError as error:
        raise ConfigRefused(f"{folder}: {error.strerror}") from None


def check(folder: Path) -> None:
    """Raises ConfigRefused for what the gateway would not load."""
    load(Source(folder / ROUTES, None, 10.0))
    if (folder / KEYS).exists():
        read_keys(folder / KEYS)


def check_alone(imported: Imported) -> None:
    """The same without a folder to keep."""
    with tempfile.TemporaryDirectory() as temporary:
        _put(Path(temporary) / "files", texts_of(imported))
        check(Path(temporary) / "files")


def document_of(imported: Imported) -> dict[str, Any]:
    return {"files": texts_of(imported), "report": imported.report.document()}


def _put(folder: Path, texts: Mapping[str, str]) -> None:
    (folder / ROUTES).mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text)


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False, default_flow_style=False, width=120)


def _variable(one: Variable) -> str:
    """As an environment file has it; what is not known is left for its owner to write."""
    line = f"{one.name}={one.value}" if one.value is not None else f"#{one.name}="
    return f"# {one.why}\n{line}\n"
