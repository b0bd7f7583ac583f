"""What a checkout of the repository says, read anew each time it is asked: a few files, and never written.

Of each file only what the page shows is read; that a record is sound is for `nexus verify` to prove.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from nexus_gateway.config_errors import first_error
from nexus_gateway.console.evidence_file import EvidenceFile
from nexus_gateway.console.plan_file import PlanFile
from nexus_gateway.console.record_file import RecordFile
from nexus_gateway.console.settings import ConsoleSettings

LARGEST = 8 << 20
"""Bytes of one file."""
MOST_RELEASES = 500
"""Shown at once, the newest."""
MOST_STEPS = 100
"""Of one canary, the newest."""
T = TypeVar("T", bound=BaseModel)


class Unreadable(Exception):
    """Says which file, and why."""


class Checkout:
    def __init__(self, settings: ConsoleSettings) -> None:
        self._root, self.environment = settings.checkout, settings.environment

    @property
    def problem(self) -> str | None:
        """Why nothing is shown of it; None where it is there."""
        if self._root is None:
            return "GATEWAY_CONSOLE_CHECKOUT names no folder"
        if not (self._root / "gitops").is_dir():
            return f"GATEWAY_CONSOLE_CHECKOUT: {self._root} has no folder gitops/"
        return None

    def releases(self) -> list[tuple[str, RecordFile]]:
        """Id -> record, the newest first. Raises Unreadable."""
        if self._root is None or self.problem:
            return []
        paths = self._root.glob("gitops/releases/*/*.json")
        found = [(path.stem, _json(path, RecordFile)) for path in paths]
        return sorted(found, key=lambda one: (one[1].observed.time, one[0]), reverse=True)[:MOST_RELEASES]

    def release(self, name: str) -> RecordFile | None:
        """`name` is 64 hex digits. Raises Unreadable."""
        if self._root is None or self.problem:
            return None
        path = next(self._root.glob(f"gitops/releases/*/{name}.json"), None)
        return _json(path, RecordFile) if path else None

    def plans(self) -> list[tuple[str, PlanFile]]:
        """Environment -> plan, of every environment. Raises Unreadable."""
        if self._root is None or self.problem:
            return []
        paths = sorted(self._root.glob("environments/*/models/*.yaml"))
        return [(path.parent.parent.name, _checked(path, PlanFile, _yaml(path))) for path in paths]

    def evidence(self, model: str, stable: str, canary: str) -> list[tuple[str, EvidenceFile]]:
        """Digest -> what was seen of these two releases and decided, in the order of time. Raises Unreadable."""
        if self._root is None or not self.environment:
            return []
        found = [
            (path.stem, _json(path, EvidenceFile))
            for path in self._root.glob(f"gitops/evidence/{self.environment}/*/*.json")
        ]
        meant = [one for one in found if (one[1].model, one[1].stable, one[1].canary) == (model, stable, canary)]
        return sorted(meant, key=lambda one: one[1].moments.until)[-MOST_STEPS:]

    def settings(self, section: str) -> dict[str, Any]:
        """Of the environment, over `base.yaml`; empty where there is none. Raises Unreadable."""
        if self._root is None or not self.environment:
            return {}
        base, own = (
            self._root / "environments" / "base.yaml",
            self._root / "environments" / self.environment / "settings.yaml",
        )
        merged: Any = {}
        for path in (base, own):
            if path.is_file():
                document = _yaml(path) or {}
                if not isinstance(document, dict):
                    raise Unreadable(f"{path.name}: no settings, which are a mapping")
                merged = _over(merged, document.get(section, {}))
        if not isinstance(merged, dict):
            raise Unreadable(f"environments/{self.environment}: {section}: no mapping")
        return merged


def _over(below: Any, above: Any) -> Any:
    """As `nexus_release` lays an environment over `base.yaml`: mappings key by key, all else replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: _over(below.get(key), value) for key, value in above.items()}
    return above


def _json(path: Path, kind: type[T]) -> T:
    try:
        document = json.loads(_bytes(path))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{path.name}: no JSON: {error}") from None
    return _checked(path, kind, document)


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(_bytes(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Unreadable(f"{path.name}: no YAML: {error}") from None


def _checked(path: Path, kind: type[T], document: object) -> T:
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise Unreadable(f"{path.name}: {first_error(error)}") from None


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise Unreadable(f"{path.name}: larger than {LARGEST} bytes")
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"{path.name}: {error.strerror}") from None
