"""Whether an agent can work with a model of this gateway: agent_smoke.py MODEL [--tools]

Asks a dozen times, and ends with 1 and the reason at the first thing that is off. `--tools` demands that the engine
calls tools, which the demo's does not.
"""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from agent import Agent, GaveUp, connect

from nexus_client import Answer, Client, ClientError, Refused

QUESTION = "What does os.path.join do?"


@dataclass(frozen=True)
class Asked:
    client: Client
    model: str
    tools: bool
    """Whether the engine has to call them."""


class Wrong(Exception):
    """What is off, in words."""


def the_key_may_use_the_model(asked: Asked) -> str:
    models = asked.client.models()
    hold(asked.model in models, f"the key may use {', '.join(models) or 'nothing'}, and not {asked.model}")
    return f"one of {len(models)}"


def an_answer_says_what_made_it(asked: Asked) -> str:
    answer = asked.client.chat(asked.model, QUESTION, max_tokens=8, temperature=0.0)
    hold(answer.text != "", "the answer is empty")
    said = answer.provenance
    hold(len(said.revision) == 64, f"x-nexus-revision is {said.revision!r}, and no digest")
    hold(len(said.release) == 64, f"x-nexus-release is {said.release!r}: the route names no release")
    hold(said.request != "", "there is no x-request-id to find it by in the log")
    return f"release {said.release[:12]}"


def a_stream_is_whole(asked: Asked) -> str:
    with asked.client.stream(asked.model, QUESTION, max_tokens=8, temperature=0.0) as stream:
        pieces = list(stream)
        answer = stream.answer()
    hold(answer.text == "".join(pieces) != "", "the stream has no text")
    hold(answer.usage is not None, "the stream ends without its usage, so nobody knows what it cost")
    return f"{len(pieces)} pieces"


def what_is_sent_twice_is_answered_once(asked: Asked) -> str:
    key = f"smoke-{uuid.uuid4()}"
    first, second = (
        asked.client.chat(asked.model, QUESTION, max_tokens=8, temperature=0.0, idempotency_key=key) for _ in range(2)
    )
    hold(second.provenance.replayed, "the second answer was made anew: the gateway keeps none by their keys")
    hold(second.raw == first.raw, "the second answer is another one")
    return "given again"


def a_refusal_has_a_code(asked: Asked) -> str:
    try:
        asked.client.chat("no-such-model-of-the-smoke", QUESTION)
    except Refused as refused:
        hold(refused.code != "", f"status {refused.status} without a code: what answers there is no gateway")
        return refused.code
    raise Wrong("a model that there is not has answered")


def a_run_of_the_agent_ends(asked: Asked) -> str:
    run = f"smoke-{uuid.uuid4()}"
    agent = Agent(asked.client, asked.model, run)
    answer = agent.answer(QUESTION)
    hold(answer.text != "", "the agent's answer is empty")
    hold(agent.calls_tools or not asked.tools, f"the engine of {asked.model} refuses `tools`")
    hold(bool(agent.looked_up) or not asked.tools, f"the engine of {asked.model} has called no tool")
    releases = {one.provenance.release for one in agent.answers}
    hold(len(releases) == 1, f"one run was answered by {len(releases)} releases: the session was not kept")
    again = Agent(asked.client, asked.model, run).answer(QUESTION)
    hold(again.provenance.replayed, "a run that was started again under its id was answered anew")
    return _how(agent, answer)


def _how(agent: Agent, answer: Answer) -> str:
    by = f"looked up {', '.join(agent.looked_up)}" if agent.looked_up else "without tools"
    return f"{len(agent.answers)} answers, {by}, ended by {answer.finish_reason}"


def hold(holds: bool, otherwise: str) -> None:
    """Raises Wrong."""
    if not holds:
        raise Wrong(otherwise)


CHECKS: tuple[Callable[[Asked], str], ...] = (
    the_key_may_use_the_model,
    an_answer_says_what_made_it,
    a_stream_is_whole,
    what_is_sent_twice_is_answered_once,
    a_refusal_has_a_code,
    a_run_of_the_agent_ends,
)


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("model")
    words.add_argument("--tools", action="store_true", help="demand that the engine calls tools")
    given = words.parse_args()
    with connect() as client:
        for check in CHECKS:
            name = check.__name__.replace("_", " ")
            try:
                print(f"ok     {name}: {check(Asked(client, given.model, given.tools))}")
            except (ClientError, GaveUp, Wrong) as error:
                print(f"WRONG  {name}: {error}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
