"""`nexus-gateway policy-test`: hold assertions against routes and policies."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from nexus_gateway.policy_tests.mutants import Kind

_PATH = click.Path(path_type=Path)
_EXAMPLE = "nexus-gateway policy-test gitops/prod/gateway/routes.d --tests environments/prod/policy-tests.yaml"


@click.command("policy-test", epilog=f"Example: {_EXAMPLE}")
@click.argument("routes")
@click.option("--tests", "file", type=_PATH, required=True, help="policy-tests.yaml of the environment.")
@click.option("--min-coverage", "least", type=click.FloatRange(0, 100), default=0.0, help="Percent of the rules.")
@click.option(
    "--mutants",
    type=click.Choice(["policies", "routes", "all"]),
    is_flag=False,
    flag_value="all",
    help="Break each rule (of policies, of routes, or all), and ask whether some test fails then.",
)
@click.option("--repository", type=_PATH, default=Path(), help="Of a COMMIT:PATH [default: this folder].")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="For a pull request.")
def policy_test(
    routes: str, file: Path, least: float, mutants: str | None, repository: Path, as_json: bool, as_markdown: bool
) -> None:
    """Hold the assertions of a file against ROUTES, by the gateway's own decisions.

    ROUTES is a file, a folder, or COMMIT:PATH of a Git repository. Ends with 1 where an assertion does not hold, where
    too few rules were looked at, or a broken rule was not found; with 2 where routes or tests cannot be read.
    """
    from nexus_gateway.config_errors import ConfigRefused
    from nexus_gateway.named_routes import routes_named
    from nexus_gateway.policy_tests.report import lines, markdown
    from nexus_gateway.policy_tests.running import run
    from nexus_gateway.policy_tests.tests_file import read_tests

    try:
        report = run(read_tests(file), routes_named(routes, repository), _kinds(mutants), least)
    except ConfigRefused as error:
        click.echo(f"nexus-gateway: {error}", err=True)
        sys.exit(2)
    told = markdown(report) if as_markdown else lines(report)
    click.echo(json.dumps(report.document(), indent=2) if as_json else "\n".join(told))
    sys.exit(0 if report.sound else 1)


def _kinds(mutants: str | None) -> tuple[Kind, ...]:
    kinds: dict[str | None, tuple[Kind, ...]] = {
        None: (),
        "policies": ("policies",),
        "routes": ("routes",),
        "all": ("policies", "routes"),
    }
    return kinds[mutants]
