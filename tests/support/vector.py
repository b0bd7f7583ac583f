"""Vector's configurations of ops/vector, run by Vector's own VRL.

What lies between the programs is done here as Vector's documentation has it: which output an event takes, what is added
to one that was dropped, and how an event becomes JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from .repository import ROOT

FOLDER = ROOT / "ops" / "vector"
Event = dict[str, Any]


def resolved(text: str, variables: Mapping[str, str]) -> str:
    """`${NAME}` and `${NAME:-default}` in their values' place, as Vector does before it parses."""

    def value(found: re.Match[str]) -> str:
        name, default = found["name"], found["default"]
        if name not in variables and default is None:
            raise KeyError(f"{name} is not set, and Vector would not start")
        return variables.get(name, default or "")

    return re.sub(r"\$\{(?P<name>\w+)(:-(?P<default>[^}]*))?\}", value, text)


class Dropped(Exception):
    """Why: `abort` or `error`; the message is the program's."""


@cache
def _runtime() -> Any:
    """One, since it keeps what it has compiled."""
    from vrl_python import VRLRuntime

    return VRLRuntime()


def execute(program: str, event: Event) -> Any:
    """What the program's last expression gives."""
    try:
        return _runtime().execute(program, event).runtime_result
    except RuntimeError as failed:
        text = str(failed)
        told = re.search(r"error\[E\d+\]: (.*)", text)
        raise Dropped("abort" if " aborted\n" in text else "error", told[1] if told else text) from None


class Topology:
    """One configuration file, with its environment filled in."""

    def __init__(self, name: str, **variables: str) -> None:
        self.text = (FOLDER / name).read_text(encoding="utf-8")
        self.config: dict[str, Any] = yaml.safe_load(resolved(self.text, {"VECTOR_PASSWORD": "secret", **variables}))
        self.transforms: dict[str, Event] = self.config["transforms"]
        self.sinks: dict[str, Event] = self.config["sinks"]

    def program(self, transform: str) -> str:
        path = Path(self.transforms[transform]["file"])
        return (FOLDER / "programs" / path.name).read_text(encoding="utf-8")

    def after(self, output: str) -> list[str]:
        """Who has this output among its inputs."""
        return [name for name, one in {**self.transforms, **self.sinks}.items() if output in one["inputs"]]

    def flow(self, output: str, event: Event) -> Iterator[tuple[str, Event]]:
        """Where an event that leaves this output ends: sink and event."""
        for name in self.after(output):
            if name in self.sinks:
                yield name, event
            else:
                for following, made in self.run(name, event):
                    yield from self.flow(following, made)

    def run(self, transform: str, event: Event) -> list[tuple[str, Event]]:
        """Output -> event, for one event at a transform; none where it is dropped for good."""
        options = self.transforms[transform]
        try:
            return [(transform, json.loads(execute(self.program(transform) + "\nencode_json(.)", event)))]
        except Dropped as dropped:
            kind, message = dropped.args
            if not options.get("drop_on_abort", True) if kind == "abort" else not options.get("drop_on_error", False):
                return [(transform, event)]
            if not options.get("reroute_dropped", False):
                return []
            told = {"reason": kind, "message": message, "component_id": transform}
            return [(f"{transform}.dropped", {**event, "metadata": {"dropped": told}})]

    def encoded(self, sink: str, event: Event) -> bytes:
        """The event as the sink writes it."""
        left_out = self.sinks[sink].get("encoding", {}).get("except_fields", [])
        return json.dumps({name: value for name, value in event.items() if name not in left_out}).encode()

    def failed_test(self, test: Event) -> str | None:
        """One of the configuration's own tests, as `vector test` runs it: what failed, or None."""
        (given,) = test["inputs"]
        arrived = self._arrived(given["insert_at"], dict(given["log_fields"]))
        for output in test["outputs"]:
            if output["extract_from"] not in arrived:
                return f"nothing came from {output['extract_from']}"
            program, event = arrived[output["extract_from"]]
            for condition in output["conditions"]:
                try:
                    holds = execute(f"{program}\n{condition['source']}", event)
                except Dropped as dropped:
                    return str(dropped.args[1])
                if holds is not True:
                    return f"{condition['source']} is {holds}"
        return next((f"{name} gave something" for name in test.get("no_outputs_from", []) if name in arrived), None)

    def _arrived(self, transform: str, event: Event) -> dict[str, tuple[str, Event]]:
        """Transform that let it through -> its program and what came in, so that conditions see types as they are."""
        arrived: dict[str, tuple[str, Event]] = {}
        for output, made in self.run(transform, event):
            if output == transform:
                arrived[transform] = (self.program(transform), event)
            for name in self.after(output):
                if name in self.transforms:
                    arrived |= self._arrived(name, made)
        return arrived
