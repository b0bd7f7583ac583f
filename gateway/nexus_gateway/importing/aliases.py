"""`model_group_alias`: a second name for a model is a second route to the same upstreams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_gateway.importing.deployments import fits
from nexus_gateway.importing.litellm_file import LitellmFile
from nexus_gateway.importing.report import Ledger


def add_aliases(file: LitellmFile, routes: dict[str, dict[str, Any]], ledger: Ledger) -> dict[str, str]:
    """Those that are taken: second name -> model."""
    added: dict[str, str] = {}
    for alias, meant in file.router_settings.model_group_alias.items():
        path = ("router_settings", "model_group_alias", alias)
        model = str(meant.get("model") if isinstance(meant, dict) else meant)
        if alias in routes or model not in routes or not fits(alias):
            why = f"{model} has no route here" if model not in routes else "that is no name for another route"
            ledger.tell("left out", path, f"takes {alias} for {model}", f"{why}: write the route yourself")
            continue
        added[alias] = model
        routes[alias] = _copied(routes[model])
        ledger.take(path, f"routes.{alias}")
        if isinstance(meant, dict) and meant.get("hidden"):
            ledger.tell(
                "differs",
                (*path, "hidden"),
                "leaves the name out of /v1/models",
                "every route is listed to those who may use it",
            )
    return added


def _copied(route: Mapping[str, Any]) -> dict[str, Any]:
    """With a list of fallbacks of its own, which is added to later."""
    return {key: list(value) if isinstance(value, list) else value for key, value in route.items()}
