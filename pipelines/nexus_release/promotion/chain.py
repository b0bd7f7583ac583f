"""Which environment comes before which: dev before staging before prod, as their settings say."""

from __future__ import annotations

from pathlib import Path

from nexus_release.config import environment_names, load_settings, settings_path
from nexus_release.errors import BadInput


def below(root: Path, environment: str) -> tuple[str, ...]:
    """The environments that a release passes before this one, nearest first. Raises BadInput where `promotion.from`
    names none of them, or goes in a circle."""
    names, found = environment_names(root), [environment]
    while lower := load_settings(root, found[-1]).promotion.lower:
        field = f"{settings_path(found[-1])}: promotion.from"
        if lower not in names:
            raise BadInput(field, lower, f"one of {', '.join(names)}, or null where releases begin")
        if lower in found:
            raise BadInput(field, lower, "it goes in a circle; null is where releases begin")
        found.append(lower)
    return tuple(found[1:])
