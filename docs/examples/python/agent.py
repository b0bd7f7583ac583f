"""An agent that asks Nexus by REST: agent.py MODEL QUESTION [--run ID]

It looks up what Python's library says of a name, by a tool that the model calls. An engine that calls no tools, as the
demo's, refuses the field by its name; then the agent looks up what the question names before it asks.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import re
import sys
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nexus_client import Answer, Client, ClientError, Refused

MODULES = {"json": json, "os": os, "os.path": os.path, "re": re, "uuid": uuid}
"""What may be looked up. A model's arguments are a stranger's: nothing is imported, opened or run by them."""
LOOK_UP = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "What Python's library says of a dotted name.",
        "parameters": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    },
}
MOST_STEPS = 4
MOST_CHARACTERS = 300  # of a tool's result: it is paid for in every step that follows


class GaveUp(Exception):
    """The model went on calling tools."""


class Agent:
    """One run: a session, so that one release answers all of it, and a key for each request, made of the run's id, so
    that a run that is started again under its id is given what it was answered before."""

    def __init__(self, client: Client, model: str, run: str) -> None:
        self._client, self._model, self._run = client, model, run
        self.answers: list[Answer] = []
        self.looked_up: list[str] = []
        """Names that were asked for by the model."""
        self.calls_tools = True
        self._requests = 0

    def answer(self, question: str) -> Answer:
        """Raises GaveUp, or the client's errors after its retries."""
        try:
            return self._loop([{"role": "user", "content": question}])
        except Refused as refused:
            if (refused.status, refused.param) != (400, "tools"):
                raise
        self.calls_tools = False
        return self._loop([{"role": "user", "content": _with_what_is_known(question)}])

    def _loop(self, messages: list[dict[str, Any]]) -> Answer:
        for _ in range(MOST_STEPS):
            answer = self._ask(messages)
            said = answer.raw["choices"][0]["message"]
            if not said.get("tool_calls"):
                return answer
            messages.append(said)
            messages.extend(self._called(call) for call in said["tool_calls"])
        raise GaveUp(f"no answer within {MOST_STEPS} steps; looked up: {', '.join(self.looked_up)}")

    def _ask(self, messages: Sequence[dict[str, Any]]) -> Answer:
        self._requests += 1
        tools = {"tools": [LOOK_UP]} if self.calls_tools else {}
        key = f"{self._run}-{self._requests}"
        answer = self._client.chat(
            self._model, messages, session=self._run, idempotency_key=key, max_tokens=60, temperature=0.0, **tools
        )
        self.answers.append(answer)
        print(json.dumps({"step": self._requests, **asdict(answer.provenance)}), file=sys.stderr)
        return answer

    def _called(self, call: dict[str, Any]) -> dict[str, Any]:
        try:
            name = str(json.loads(call["function"]["arguments"])["name"])
        except (KeyError, TypeError, ValueError):
            result = "the arguments are no JSON object with a `name`"
        else:
            self.looked_up.append(name)
            result = look_up(name)
        return {"role": "tool", "tool_call_id": call["id"], "content": result}


def look_up(name: str) -> str:
    """A result in any case: what went wrong is for the model to mend."""
    module, _, member = name.rpartition(".")
    found = MODULES.get(name) or getattr(MODULES.get(module), member, None)
    if found is None:
        return f"nothing is known of {name[:40]!r}; known are names in {', '.join(MODULES)}"
    return (inspect.getdoc(found) or "it has no documentation")[:MOST_CHARACTERS]


def _with_what_is_known(question: str) -> str:
    names = [name for name in re.findall(r"\w+(?:\.\w+)+", question) if name.rpartition(".")[0] in MODULES]
    return "\n\n".join([*(f"{name}: {look_up(name)}" for name in names), question])


def connect() -> Client:
    """To the gateway of `make up`, unless NEXUS_GATEWAY and NEXUS_GATEWAY_KEY name another."""
    url = os.environ.get("NEXUS_GATEWAY", "http://127.0.0.1:8000")
    return Client(url, os.environ.get("NEXUS_GATEWAY_KEY", "dev-key"), seconds=60.0)


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("model")
    words.add_argument("question")
    words.add_argument("--run", default=str(uuid.uuid4()), help="id of a run that is to go on")
    given = words.parse_args()
    try:
        with connect() as client:
            answer = Agent(client, given.model, given.run).answer(given.question)
    except (ClientError, GaveUp) as error:
        print(f"agent: {error}", file=sys.stderr)
        return 1
    print(answer.text)
    print(f"x-nexus-release: {answer.provenance.release}")
    print(f"x-nexus-revision: {answer.provenance.revision}")
    print(f"x-request-id: {answer.provenance.request}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
