"""LiteLLM's configuration as route files, a key file and variables, with a report of all that is not quite the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nexus_gateway.importing.aliases import add_aliases
from nexus_gateway.importing.deployments import Engine, engine_of, fits
from nexus_gateway.importing.fallbacks import add_fallbacks
from nexus_gateway.importing.groups import PATIENCE, Group, Patience, group_of
from nexus_gateway.importing.litellm_file import Deployment, LitellmFile, Read
from nexus_gateway.importing.meanings import UNKNOWN, meaning_of
from nexus_gateway.importing.process import everywhere_of, key_file_of, patience_of, settings_of
from nexus_gateway.importing.report import Ledger, Path, Report

_EVERY_MODEL = "*"
DEFAULT_FILE = "default"


@dataclass(frozen=True)
class Imported:
    files: Mapping[str, dict[str, Any]]
    """Name without `.yaml` -> a route file's document."""
    keys: dict[str, Any] | None
    """A key file's document."""
    report: Report


def translate(read: Read, source: str) -> Imported:
    """`source` is what the report calls the file."""
    file, ledger = read.file, Ledger()
    for path in read.overridden:
        ledger.take(path, "the included file's value, which counts more")
    engines = _engines(file, ledger)
    patience, strategy = patience_of(file, ledger), file.router_settings.routing_strategy
    groups = {
        model: group_of(model, found, patience, ledger)
        for model, found in engines.items()
        if found and model != _EVERY_MODEL
    }
    routes = {name: route for group in groups.values() for name, route in group.routes.items()}
    aliases = add_aliases(file, routes, ledger)
    add_fallbacks(file, routes, aliases, ledger)
    if strategy in ("simple-shuffle", "least-busy"):
        ledger.take(("router_settings", "routing_strategy"), "shares and endpoints of the routes")
    settings_of(file, ledger)
    keys = key_file_of(file, ledger)
    files = _files(groups, routes, engines.get(_EVERY_MODEL, []), patience, ledger)
    _tell_the_rest(read, ledger)
    return Imported(files, keys, _report(read, source, engines, files, ledger))


def _engines(file: LitellmFile, ledger: Ledger) -> dict[str, list[Engine]]:
    """By model; a model that nothing is left of has none."""
    everywhere, found, names = everywhere_of(file, ledger), dict[str, list[Engine]](), set[str]()
    for place, deployment in enumerate(file.model_list):
        path, model = ("model_list", place), deployment.model_name
        engines = found.setdefault(model, [])
        if model != _EVERY_MODEL and not fits(model):
            _tell_of_name(model, path, ledger)
            continue
        name = _name_of(deployment, path, len(engines) + 1, names, ledger)
        engine = engine_of(file, everywhere, ledger, path, deployment, name)
        if engine is not None:
            engines.append(engine)
            ledger.take((*path, "model_name"), "default" if model == _EVERY_MODEL else f"routes.{model}")
    return found


def _name_of(deployment: Deployment, path: Path, number: int, names: set[str], ledger: Ledger) -> str:
    """Of its upstream: its own id, where that is a name that no other has."""
    model, own = deployment.model_name, deployment.model_info.id
    name = own if own and fits(own) else f"{DEFAULT_FILE if model == _EVERY_MODEL else model[:120]}-{number}"
    while name in names:
        number += 1
        name = f"{DEFAULT_FILE if model == _EVERY_MODEL else model[:120]}-{number}"
    names.add(name)
    if own:
        ledger.take((*path, "model_info", "id"), f"upstreams.{name}")
    return name


def _tell_of_name(model: str, path: Path, ledger: Ledger) -> None:
    if "*" in model:
        ledger.tell(
            "left out",
            path,
            "answers for every model whose name fits the pattern",
            "write a route for each model; `default` takes every name that no route has",
        )
    else:
        ledger.tell(
            "left out",
            path,
            "takes any name for a model",
            "names are letters, digits and ._:/@- , 128 at most, and begin with a letter or digit",
        )


def _files(
    groups: Mapping[str, Group],
    routes: Mapping[str, dict[str, Any]],
    default: Sequence[Engine],
    patience: Patience,
    ledger: Ledger,
) -> dict[str, dict[str, Any]]:
    """One for each model, with its upstreams; a second name is a file of its own."""
    files: dict[str, dict[str, Any]] = {}
    owned = {name for group in groups.values() for name in group.routes}
    for model, group in groups.items():
        files[_file_name(model, files)] = group.document()
    for alias in routes.keys() - owned:
        files[_file_name(alias, files)] = {"routes": {alias: routes[alias]}}
    if default:
        files[_file_name(DEFAULT_FILE, files)] = {
            "upstreams": {default[0].name: dict(default[0].file)},
            "default": default[0].name,
        }
        seconds = f"{default[0].timeout or patience.timeout or PATIENCE:g}"
        ledger.needs("GATEWAY_REQUEST_TIMEOUT_SECONDS", seconds, "until an answer of the default upstream begins")
        for engine in default[1:]:
            ledger.tell(
                "left out",
                engine.path,
                "shares the models that have no name of their own",
                "`default` is one upstream: give it `endpoints`",
            )
    return files


def _file_name(model: str, taken: Mapping[str, object]) -> str:
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in model)
    name, number = plain, 1
    while name.lower() in {other.lower() for other in taken}:  # a file system may take both for one
        number += 1
        name = f"{plain}-{number}"
    return name


def _tell_the_rest(read: Read, ledger: Ledger) -> None:
    for path in list(ledger.left(read.document)):
        place, meaning = meaning_of(path)
        ledger.tell("unknown" if meaning is UNKNOWN else "no counterpart", place, meaning.there, meaning.here)


def _report(
    read: Read, source: str, engines: Mapping[str, list[Engine]], files: Mapping[str, dict[str, Any]], ledger: Ledger
) -> Report:
    models = sorted(name for document in files.values() for name in document.get("routes", {}))
    missing = sorted(model for model, found in engines.items() if not found)
    taken = ledger.taken_from(read.document) | {
        f"include.{name}": "the same as the file itself" for name in read.included
    }
    return Report(source, models, missing, list(ledger.variables.values()), ledger.notes, taken)
