"""Words on the command line, held against their grammar before anything is asked or written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click

Held = Callable[[click.Context, click.Parameter, str], str]
gateways = click.option(
    "--gateways",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="NEXUS_GATEWAYS",
    help="YAML: environment -> url, and the name of the variable with its key.",
)
"""An option of the commands that ask gateways of several environments."""


def known_environments(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """For a shell that completes: the environments of the checkout in the current folder."""
    return sorted(one.parent.name for one in Path("environments").glob(f"{begun}*/settings.yaml"))


def known_models(_: click.Context, __: click.Parameter, begun: str) -> list[str]:
    """The same of models: those that a plan of any environment names."""
    named = {
        line.partition(":")[2].strip()
        for plan in Path("environments").glob("*/models/*.yaml")
        for line in plan.read_text(encoding="utf-8").splitlines()
        if line.startswith("model:")
    }
    return sorted(name for name in named if name.startswith(begun))


def model(_: click.Context, __: click.Parameter, value: str) -> str:
    from nexus_release.names import LONGEST_MODEL, MENDS, MODEL_NAME

    return _held("MODEL", value, MODEL_NAME, MENDS[MODEL_NAME], LONGEST_MODEL)


def environment(_: click.Context, __: click.Parameter, value: str) -> str:
    return held_environment(value)


in_environment = click.option(
    "--env", "environment", metavar="ENV", default="local", show_default=True, callback=environment,
    shell_complete=known_environments, help="A folder of environments/.",
)  # fmt: skip
of_model = click.argument("model", callback=model, shell_complete=known_models)


def held_environment(value: str) -> str:
    from nexus_release.names import ENVIRONMENT_NAME, MENDS

    return _held("environment", value, ENVIRONMENT_NAME, MENDS[ENVIRONMENT_NAME])


def some_environment(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    return None if value is None else environment(context, parameter, value)


def environments(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(environment(context, parameter, value) for value in values)


def release_prefix(_: click.Context, parameter: click.Parameter, value: str) -> str:
    return _held(
        parameter.opts[0], value, "[0-9a-f]{0,64}", "give the beginning of a release id: lower-case hex digits"
    )


def hex_prefix(_: click.Context, parameter: click.Parameter, value: str) -> str:
    """Of a revision or a commit; nothing is nothing."""
    return value and _held(parameter.opts[0], value, "[0-9a-f]{8,64}", "give 8 to 64 lower-case hex digits of it")


def sought(_: click.Context, __: click.Parameter, value: str) -> str:
    """By their form all are model names, versions and addresses of LoggedModels behind `models:/`."""
    from nexus_release.names import LONGEST_MODEL, MODEL_NAME

    mend = (
        "give a revision, a release id, a commit, a model, the name of an InferenceService, models:/NAME/VERSION, or "
        "a record's path or digest"
    )
    longest = LONGEST_MODEL + len(value) - len(value.removeprefix("models:/"))
    return _held("WHAT", value, f"(?:models:/)?{MODEL_NAME.removeprefix('^')}", mend, longest)


def text_or_file(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    return None if value is None else _text(parameter.opts[0], value)


def texts_by_name(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    from nexus_release.errors import BadInput

    found: dict[str, str] = {}
    for value in values:
        name, sign, text = value.partition("=")
        if not sign or name in found:
            raise BadInput(parameter.opts[0], value, "give NAME=JSON or NAME=@FILE, each name once")
        found[name] = _text(parameter.opts[0], text)
    return found


def _text(field: str, value: str) -> str:
    from nexus_release.errors import BadInput

    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(field, value, f"{error}: give JSON, or @ and the name of a file in UTF-8") from None


def _held(field: str, value: str, pattern: str, mend: str, longest: int = 1 << 10) -> str:
    from nexus_release.errors import BadInput

    if len(value) > longest or not re.fullmatch(pattern, value):
        raise BadInput(field, value, mend)
    return value
