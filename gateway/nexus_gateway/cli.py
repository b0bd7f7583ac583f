"""The command `nexus-gateway`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TextIO

import click

from nexus_gateway.commands.explain import explain
from nexus_gateway.commands.policy_test import policy_test
from nexus_gateway.commands.simulate import simulate
from nexus_terminal.completion import completion
from nexus_terminal.program import Program, run
from nexus_terminal.progress import Progress

_PATH = click.Path(path_type=Path)


SECTIONS = {
    "Serve": {
        "serve": "Serve until SIGTERM.",
        "keys": "Make API keys.",
    },
    "Before a change is merged": {
        "check": "Load routes as the gateway would.",
        "explain": "Say what would be done with one request, and why.",
        "policy-test": "Hold assertions against routes and policies.",
        "simulate": "Decide a recorded log under two sets of routes.",
        "import-litellm": "Turn LiteLLM's configuration into route files.",
    },
    "Logs": {
        "replay": "Make the decisions of a decision log again.",
        "shadow-report": "Compare copied requests with their originals.",
        "audit": "Check the chain of audit logs.",
    },
    "What it is": {
        "schema": "Print the schema of route files, logs or the HTTP API.",
        "reference": "Print a page of docs/reference/.",
        "completion": "Print the shell completion script.",
    },
}
"""Title -> word -> help line."""


@click.group(cls=Program, sections=SECTIONS)
@click.version_option(package_name="nexus-platform", prog_name="nexus-gateway")
def gateway() -> None:
    """Answer every request to your models, and say what made each answer."""


@gateway.command(epilog="Example: nexus-gateway serve --routes gitops/local/gateway/routes.d --port 8000")
@click.option("--routes", type=_PATH, help="Route file, or folder of them [default: GATEWAY_UPSTREAMS and others].")
@click.option("--keys", type=_PATH, help="Key file [default: GATEWAY_API_KEYS, else dev-key on loopback].")
@click.option("--resolve", type=_PATH, help='JSON {"host:port": "address:port"}, as curl has it; for a laptop.')
@click.option("--state", type=_PATH, help="Folder for the last good configuration, to start from after a bad one.")
@click.option("--audit", "audit_log", type=_PATH, help="Folder for the audit log [default: none is kept].")
@click.option("--decisions", type=_PATH, help="Folder for the decision log, which `replay` reads [default: none].")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Of everything.")
@click.option("--admin-port", type=click.IntRange(1, 65535), help="Operators' pages are on this port alone.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
def serve(
    routes: Path | None,
    keys: Path | None,
    resolve: Path | None,
    state: Path | None,
    audit_log: Path | None,
    decisions: Path | None,
    host: str,
    port: int,
    admin_port: int | None,
    workers: int,
) -> None:
    """Serve until SIGTERM. New configuration is taken as it appears; where it is bad, the last good one serves on."""
    import os

    from nexus_gateway.config_errors import ConfigRefused
    from nexus_gateway.running import run
    from nexus_gateway.start import Start

    environ = dict(os.environ)
    start = Start(environ, routes, keys, resolve, state, audit_log, decisions, host, port, admin_port, workers)
    try:
        sys.exit(run(start))
    except ConfigRefused as error:
        click.echo(f"nexus-gateway: {error}", err=True)
        sys.exit(2)


@gateway.command(epilog="Example: nexus-gateway check gitops/local/gateway/routes.d")
@click.argument("routes", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def check(routes: Path, as_json: bool) -> None:
    """Load ROUTES as the gateway would, and print their revision. Ends with 2 where they are refused."""
    from nexus_gateway.config_errors import ConfigRefused
    from nexus_gateway.snapshot import Source, load

    try:
        snapshot = load(Source(routes, None, 10.0))
    except ConfigRefused as error:
        click.echo(json.dumps({"refused": str(error)}) if as_json else f"nexus-gateway: {error}", err=not as_json)
        sys.exit(2)
    found = {"revision": snapshot.revision, "routes": sorted(snapshot.table.routes)}
    click.echo(json.dumps(found) if as_json else f"revision {snapshot.revision}, {len(found['routes'])} routes")


for _command in (explain, policy_test, simulate, completion("nexus-gateway", lambda: gateway)):
    gateway.add_command(_command)


@gateway.command(epilog="Example: nexus-gateway shadow-report gateway.log")
@click.argument("logs", type=click.File(), nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def shadow_report(logs: tuple[TextIO, ...], as_json: bool) -> None:
    """Compare copied requests with their originals, from LOGS (`-` is standard input). Ends with 1 where none is."""
    from dataclasses import asdict
    from itertools import chain

    from nexus_gateway.shadow_report import compare, pairs_of, table

    with Progress("copied requests are found and compared"):
        found = compare(pairs_of(chain.from_iterable(logs)))
    if not found:
        click.echo("nexus-gateway: no copied request in these logs: does a route have `shadow`?", err=True)
        sys.exit(1)
    click.echo(json.dumps([asdict(one) for one in found], indent=2) if as_json else "\n".join(table(found)))


@gateway.command(epilog="Example: nexus-gateway import-litellm config.yaml --out imported")
@click.argument("file", type=_PATH)
@click.option("--out", type=_PATH, help="New folder for all files and the report [default: none is written].")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def import_litellm(file: Path, out: Path | None, as_json: bool) -> None:
    """Turn LiteLLM's proxy configuration into route files, and tell what is not quite the same. Ends with 1 where a
    model has no route, with 2 where nothing can be taken."""
    from nexus_gateway.importing.command import import_litellm as imported

    sys.exit(imported(file, out, as_json=as_json))


@gateway.command(epilog="Example: nexus-gateway replay decisions --routes gitops/local/gateway/routes.d")
@click.argument("paths", type=_PATH, nargs=-1, required=True, metavar="PATH...")
@click.option("--routes", type=_PATH, help="Route file or folder to decide by.")
@click.option("--repository", type=_PATH, help="Git repository in which each decision's own routes are looked up.")
@click.option("--path", help="Folder of its route files, from the repository's root.")
@click.option("--at", help="Commit of the repository to decide by besides.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def replay(
    paths: tuple[Path, ...],
    routes: Path | None,
    repository: Path | None,
    path: str | None,
    at: str | None,
    as_json: bool,
) -> None:
    """Make the decisions of a decision log again. Ends with 1 where one disagrees with the routes that made it, with 2
    where none can be made."""
    from nexus_gateway.decisions.command import run_replay

    sys.exit(run_replay(paths, routes, repository, path, at, as_json))


@gateway.command(epilog="Example: nexus-gateway schema --of openapi > gateway/openapi.json")
@click.option(
    "--of",
    "subject",
    type=click.Choice(["routes", "log", "audit", "decisions", "openapi", "policy-tests"]),
    default="routes",
    show_default=True,
    help="What it describes.",
)
def schema(subject: str) -> None:
    """Print the JSON Schema of route files, policy tests, or one line of a log; or the OpenAPI document."""
    from nexus_gateway.decisions.decision_schema import decision_schema
    from nexus_gateway.openapi import document
    from nexus_gateway.policy_tests.tests_file import PolicyTests
    from nexus_gateway.routes_file import RoutesFile
    from nexus_gateway.telemetry.audit_schema import audit_schema
    from nexus_gateway.telemetry.log_schema import log_schema

    schemas = {
        "routes": RoutesFile.model_json_schema,
        "log": log_schema,
        "audit": audit_schema,
        "decisions": decision_schema,
        "openapi": document,
        "policy-tests": PolicyTests.model_json_schema,
    }
    made = schemas[subject]()
    click.echo(json.dumps(made, indent=2))


@gateway.command(epilog="Example: nexus-gateway reference errors > docs/reference/errors.md")
@click.argument("page", type=click.Choice(["errors", "settings", "log", "metrics"]))
def reference(page: str) -> None:
    """Print a page of docs/reference/, as the code has it."""
    from nexus_gateway.reference import errors_page, settings_page
    from nexus_gateway.telemetry import families, log_schema

    pages = {"errors": errors_page, "settings": settings_page, "log": log_schema.page, "metrics": families.page}
    click.echo(pages[page](), nl=False)


@gateway.group(cls=Program)
def audit() -> None:
    """Look at audit logs."""


@audit.command(epilog="Example: nexus-gateway audit verify /var/log/nexus/audit")
@click.argument("paths", type=_PATH, nargs=-1, required=True, metavar="PATH...")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def verify(paths: tuple[Path, ...], as_json: bool) -> None:
    """Check the chain of each process in files or folders. Ends with 1 where a line lies, with 2 where none is read."""
    from nexus_gateway.telemetry.verify import NothingToVerify
    from nexus_gateway.telemetry.verify import verify as verified

    try:
        with Progress("each line is hashed"):
            verdict = verified(paths)
    except (NothingToVerify, OSError) as error:
        click.echo(f"nexus-gateway: {error}", err=True)
        sys.exit(2)
    click.echo(json.dumps(verdict.document()) if as_json else str(verdict))
    sys.exit(1 if verdict.faults else 0)


@gateway.group(cls=Program)
def keys() -> None:
    """Make API keys."""


@keys.command(epilog="Example: nexus-gateway keys new --id team-a --model chat")
@click.option("--id", "name", required=True, help="What logs call the key.")
@click.option("--model", "models", multiple=True, help="A model that it may use; several times [default: all].")
@click.option("--admin", is_flag=True, help="It may see /admin/* and /v1/circuit-breakers.")
@click.option("--tenant", help="Whose it is: all keys of a tenant share its policy and limits [default: the id].")
@click.option("--days", type=click.IntRange(1, 3650), help="How long it holds [default: until it is removed].")
def new(name: str, models: tuple[str, ...], admin: bool, tenant: str | None, days: int | None) -> None:
    """Print a new key once, and the entry for the key file, which does not hold it."""
    from datetime import UTC, datetime, timedelta

    import yaml

    from nexus_gateway.keys import digest, new_key

    key = new_key()
    entry: dict[str, object] = {"id": name, "digest": f"sha256:{digest(key.encode()).hex()}"}
    if models:
        entry["models"] = list(models)
    if admin:
        entry["scopes"] = ["admin"]
    if tenant:
        entry["tenant"] = tenant
    if days:
        entry["expires"] = (datetime.now(UTC) + timedelta(days=days)).replace(microsecond=0).isoformat()
    click.echo(f"# the key, shown this once: {key}\n{yaml.safe_dump({'keys': [entry]}, sort_keys=False)}", nl=False)


def main() -> None:
    """Ends with 0, 1 (something does not hold) or 2 (bad input)."""
    run(gateway, "nexus-gateway", lambda _: None)
