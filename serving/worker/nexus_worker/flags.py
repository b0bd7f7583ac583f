"""Flags of what is loaded, which both commands have, and of the mock's faults.

vLLM's names where vLLM has the same thing, else `--mock-…`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

F = TypeVar("F", bound=Callable[..., None])

_RATE = click.FloatRange(0)

_ENGINE = (
    click.argument("folder", required=False, metavar="[MODEL_FOLDER]"),
    click.option("--model", help="The same as MODEL_FOLDER."),
    click.option("--served-model-name", help="The name that clients use.  [default: the folder as given]"),
    click.option(
        "--max-model-len", type=click.IntRange(2), help="Tokens of prompt and answer.  [default: the model's]"
    ),
    click.option("--max-num-seqs", type=click.IntRange(1, 256), default=8, show_default=True, help="Requests at once."),
    click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="For each request."),
    click.option(
        "--engine",
        type=click.Choice(["ctranslate2", "mock"]),
        default="ctranslate2",
        show_default=True,
        help="What generates: the model itself, or made-up words.",
    ),
    click.option(
        "--compute-type",
        type=click.Choice(["auto", "float32", "int8"]),
        default="auto",
        show_default=True,
        help="Of the weights in memory.",
    ),
)
_MOCK = (
    click.option(
        "--ttft-ms",
        type=_RATE,
        default=20.0,
        show_default=True,
        help="Mock: the least time to a first token, to which waiting and prefill come.",
    ),
    click.option(
        "--tokens-per-second", type=_RATE, default=100.0, show_default=True, help="Mock: of each stream; 0: at once."
    ),
    click.option(
        "--mock-total-tokens-per-second",
        type=_RATE,
        default=0.0,
        show_default=True,
        help="Mock: of all streams together; 0: no bound.",
    ),
    click.option(
        "--mock-prefill-tokens-per-second",
        type=_RATE,
        default=0.0,
        show_default=True,
        help="Mock: uncached prompt tokens, one request after the other; 0: at once.",
    ),
    click.option(
        "--block-size",
        type=click.IntRange(1, 4096),
        default=16,
        show_default=True,
        help="Mock: tokens of a block of its cache.",
    ),
    click.option(
        "--num-gpu-blocks-override",
        type=click.IntRange(1),
        help="Mock: blocks of its cache.  [default: for --max-num-seqs full contexts]",
    ),
    click.option(
        "--enable-prefix-caching/--no-enable-prefix-caching",
        default=True,
        show_default=True,
        help="Mock: keep blocks of ended requests, which then cost no prefill.",
    ),
)


def engine_flags(function: F) -> F:
    for flag in reversed((*_ENGINE, *_MOCK)):
        function = flag(function)
    return function


def fault_flags(function: F) -> F:
    for flag in (
        click.option(
            "--mock-admin", is_flag=True, help="Mock: let PUT /mock/faults set its faults, by whoever reaches the port."
        ),
        click.option(
            "--mock-fault",
            multiple=True,
            metavar="KIND[:KEY=VALUE,...]",
            help="Mock: refuse, oom, slow, stall, never, cut, malformed, oversize, content-type, empty or health, for "
            "each request or by every=K, share=P, skip=N, times=N; see serving/worker/README.md.",
        ),
    ):
        function = flag(function)
    return function
