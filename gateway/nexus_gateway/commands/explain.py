"""`nexus-gateway explain`: what would be done with one request, and why."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

if TYPE_CHECKING:
    from nexus_gateway.keys import Key
    from nexus_gateway.question import Question

_PATH = click.Path(path_type=Path)
_APIS = ("chat", "completions", "embeddings", "responses", "messages", "rerank")


@click.command(epilog="Example: nexus-gateway explain routes.d --model chat --key team-a --session 42")
@click.argument("routes")
@click.option("--model", default="", help="What is asked for [default: what --body says].")
@click.option("--key", "key_id", default="dev-key", show_default=True, help="Tenant of the caller's key, or its id.")
@click.option("--keys", type=_PATH, help="Key file that has --key as an id: its tenant and its own models count too.")
@click.option("--subject", help="`sub` of the caller's token, instead of a key.")
@click.option("--token-model", "token_models", multiple=True, help="Of the token's claim `models`; several times.")
@click.option("--api", type=click.Choice(_APIS), default="chat", show_default=True, help="That the request is for.")
@click.option("--session", default="", help="x-nexus-session or `user` of the request.")
@click.option("--header", "headers", multiple=True, help="name=value; several times.")
@click.option("--body", type=click.File("rb"), help="JSON body of the request, `-` for standard input.")
@click.option("--max-tokens", type=click.IntRange(0), help="Of the answer, as the request says.")
@click.option("--size", type=click.IntRange(0), default=0, help="Bytes that the body is taken for, at least.")
@click.option(
    "--open", "open_circuits", multiple=True, metavar="UPSTREAM", help="It has failed; * stands for any text."
)
@click.option("--scrape", is_flag=True, help="Ask the engines for their load, where they are chosen by prefix.")
@click.option(
    "--group-percent",
    type=click.FloatRange(0, 100),
    default=0.0,
    help="Of its upstream's load: what prompts make that begin like this one; they may use more endpoints than one.",
)
@click.option("--repository", type=_PATH, default=Path(), help="Of a COMMIT:PATH [default: this folder].")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def explain(
    routes: str,
    model: str,
    key_id: str,
    keys: Path | None,
    subject: str | None,
    token_models: tuple[str, ...],
    api: str,
    session: str,
    headers: tuple[str, ...],
    body: BinaryIO | None,
    max_tokens: int | None,
    size: int,
    open_circuits: tuple[str, ...],
    scrape: bool,
    group_percent: float,
    repository: Path,
    as_json: bool,
) -> None:
    """Say which rule, policy and limits of ROUTES decide about one request, and who would be asked in which order.

    ROUTES is a file, a folder, or COMMIT:PATH of a Git repository. Ends with 1 where the request would be refused.
    """
    from nexus_gateway.config_errors import ConfigRefused
    from nexus_gateway.errors import Refusal
    from nexus_gateway.explanation import explain as explained
    from nexus_gateway.explanation import lines
    from nexus_gateway.named_routes import routes_named
    from nexus_gateway.placing.asked_once import loads_of

    if not model and body is None:
        raise click.UsageError("what is asked for? give --model, or --body FILE")
    given = dict(_pair(header) for header in headers) | ({"x-nexus-session": session} if session else {})
    try:
        caller = _caller(key_id, keys, subject, token_models)
        asked = _question(caller, api, model, body.read() if body else None, max_tokens, given, size)
        found = routes_named(routes, repository)
        snapshot, loads = asyncio.run(loads_of(found)) if scrape else (found, {})
        told = explained(snapshot, asked, open_circuits, loads, group_percent / 100)
    except (ConfigRefused, Refusal) as error:
        click.echo(f"nexus-gateway: {error}", err=True)
        sys.exit(2)
    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(lines(told)))
    sys.exit(1 if "refused" in told else 0)


def _pair(header: str) -> tuple[str, str]:
    name, found, value = header.partition("=")
    if not (name and found):
        raise click.BadParameter(f"{name!r}: write name=value", param_hint="--header")
    return name, value


def _caller(key_id: str, keys: Path | None, subject: str | None, token_models: tuple[str, ...]) -> Key:
    """Raises ConfigRefused."""
    from nexus_gateway.auth import bearer_of
    from nexus_gateway.config_errors import ConfigRefused
    from nexus_gateway.keys import Key, read_keys
    from nexus_gateway.tokens.claims import Claims

    if subject is not None:
        return bearer_of(Claims(subject, frozenset(token_models) if token_models else None, math.inf))
    if keys is None:
        return Key(key_id, None, admin=False)
    found = next((key for key in read_keys(keys).values() if key.id == key_id), None)
    if found is None:
        raise ConfigRefused(f"{keys}: keys: no key has the id {key_id!r}")
    return found


def _question(
    key: Key, api: str, model: str, body: bytes | None, max_tokens: int | None, headers: dict[str, str], size: int
) -> Question:
    from nexus_gateway.asked import renamed
    from nexus_gateway.question import BY_API, Question, body_of

    surface = BY_API[api]
    if body is not None:
        return Question(key, surface, renamed(body, model) if model else body, headers, size)
    bounds = {surface.bounds[0]: max_tokens} if surface.bounds and max_tokens is not None else {}
    return Question(key, surface, body_of(model, bounds), headers, size)
