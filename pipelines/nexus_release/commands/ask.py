"""`nexus ask MODEL QUESTION`: one answer, and what made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nexus_release.commands import arguments


@click.command("ask", epilog="Example: nexus ask pydoc-chat 'What does os.path.join do?'")
@arguments.of_model
@click.argument("question")
@arguments.in_environment
@arguments.gateways
@click.option("--max-tokens", type=click.IntRange(1), help="Of the answer  [default: the engine's]")
@click.option("--temperature", type=click.FloatRange(0, 2), help="Of the answer  [default: the engine's]")
@click.option("--session", default="", help="Requests of one session stay with one release.")
@click.option("--json", "as_json", is_flag=True, help="Print answer, usage and provenance as JSON, once it is whole.")
def command(
    model: str,
    question: str,
    environment: str,
    gateways: Path | None,
    max_tokens: int | None,
    temperature: float | None,
    session: str,
    as_json: bool,
) -> None:
    """Ask MODEL a QUESTION through the gateway of ENV: NEXUS_GATEWAY with NEXUS_GATEWAY_KEY, or the one that runs here.

    The answer goes to standard output as it comes, what made it to standard error. A request that fails is sent again
    under the same idempotency key, so that no engine is paid twice.
    """
    import json
    import os
    from dataclasses import asdict

    from nexus_client import BadQuestion, Client, ClientError
    from nexus_release.convergence.places import asked_at
    from nexus_release.errors import BadInput, NexusError
    from nexus_release.terminal import plain, plain_line

    url, key = asked_at(os.environ, environment, gateways)
    given = {"max_tokens": max_tokens, "temperature": temperature}
    fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        with (
            Client(url.split(",")[0], key) as client,
            client.stream(model, question, session=session, **fields) as stream,
        ):
            for piece in stream:
                if not as_json:
                    click.echo(plain(piece), nl=False)
            answer = stream.answer()
    except BadQuestion as error:
        raise BadInput(error.field, error.value, error.mend) from None
    except (ClientError, ValueError) as error:
        raise NexusError(str(error)) from None
    made_by = answer.provenance
    if as_json:
        told = {"text": answer.text, "finish_reason": answer.finish_reason}
        usage = asdict(answer.usage) if answer.usage else None
        click.echo(json.dumps({**told, "usage": usage, "provenance": asdict(made_by)}, indent=2))
        return
    click.echo()
    for name, value in (("release", made_by.release), ("revision", made_by.revision), ("request", made_by.request)):
        click.echo(f"{name:8}  {plain_line(value) or '(not said)'}", err=True)
