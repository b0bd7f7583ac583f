"""Whether an agent can work with an engine by gRPC: grpc_smoke.py HOST:PORT MODEL

Asks a few times, and ends with 1 and the reason at the first thing that is off.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_agent import Conversation, refusal_of, told

from nexus_inference import nexus_inference_pb2 as pb
from nexus_inference.nexus_inference_pb2_grpc import InferenceStub

SECONDS = 60.0
SHORT_SECONDS = 0.05  # too short for the longest answer that the model's context allows
QUESTION = [pb.Message(role="user", content=[pb.ContentPart(text="What is a list?")])]


@dataclass(frozen=True)
class Asked:
    stub: Any
    model: str

    def chat(self, **sampling: Any) -> pb.ChatRequest:
        given = pb.Sampling(temperature=0.0, **sampling)
        return pb.ChatRequest(model=self.model, messages=QUESTION, sampling=given)

    def longest(self) -> pb.ChatRequest:
        """Goes on past the model's own end, as far as its context goes."""
        models = self.stub.ListModels(pb.ListModelsRequest(), timeout=SECONDS).models
        context = next(one.max_model_len for one in models if one.id == self.model)
        prompt = self.stub.Chat(self.chat(max_tokens=1), timeout=SECONDS).usage.prompt_tokens
        return self.chat(max_tokens=context - prompt, ignore_eos=True)


class Wrong(Exception):
    """What is off, in words."""


def the_engine_serves(asked: Asked) -> str:
    state = asked.stub.CheckHealth(pb.CheckHealthRequest(), timeout=SECONDS).state
    hold(state == pb.CheckHealthAnswer.STATE_SERVING, f"it is {pb.CheckHealthAnswer.State.Name(state)}")
    return "serving"


def it_has_the_model(asked: Asked) -> str:
    models = [one.id for one in asked.stub.ListModels(pb.ListModelsRequest(), timeout=SECONDS).models]
    hold(asked.model in models, f"it has {', '.join(models)}, and not {asked.model}")
    return ", ".join(models)


def a_stream_is_the_whole_answer_in_pieces(asked: Asked) -> str:
    whole = asked.stub.Chat(asked.chat(max_tokens=8), timeout=SECONDS)
    pieces = list(asked.stub.StreamChat(asked.chat(max_tokens=8), timeout=SECONDS))
    hold("".join(piece.content for piece in pieces) == whole.content, "the stream says something else")
    hold(pieces[-1].usage == whole.usage, "the last piece has not the usage of the whole answer")
    return f"{len(pieces)} pieces"


def a_refusal_names_its_field(asked: Asked) -> str:
    try:
        asked.stub.Chat(pb.ChatRequest(model="no-such-model", messages=QUESTION), timeout=SECONDS)
    except grpc.RpcError as error:
        hold(error.code() == grpc.StatusCode.NOT_FOUND, f"a model that there is not is {error.code().name}")
        hold(refusal_of(error).param == "model", "the trailer nexus-error-bin does not name the field")
        return told(error)
    raise Wrong("a model that there is not has answered")


def a_deadline_ends_an_answer(asked: Asked) -> str:
    try:
        asked.stub.Chat(asked.longest(), timeout=SHORT_SECONDS)
    except grpc.RpcError as error:
        hold(error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, f"it ended with {told(error)}")
        return f"after {SHORT_SECONDS:g} s"
    raise Wrong(f"the longest answer came within {SHORT_SECONDS:g} s, or the engine knows no `ignore_eos`")


def who_gives_up_is_let_go(asked: Asked) -> str:
    call = asked.stub.StreamChat(asked.longest(), timeout=SECONDS)
    first = next(call)
    call.cancel()
    hold(call.code() == grpc.StatusCode.CANCELLED, f"it ended with {call.code()}")
    asked.stub.Chat(asked.chat(max_tokens=1), timeout=SECONDS)
    return f"after {first.content!r}"


def a_conversation_goes_on(asked: Asked) -> str:
    conversation = Conversation(asked.stub, asked.model)
    first, second = conversation.ask("What is a list?").usage, conversation.ask("And a tuple?").usage
    hold(second.prompt_tokens > first.prompt_tokens, "the second question does not hold the first answer")
    return f"{second.prompt_tokens} tokens in the second question"


def hold(holds: bool, otherwise: str) -> None:
    """Raises Wrong."""
    if not holds:
        raise Wrong(otherwise)


CHECKS: tuple[Callable[[Asked], str], ...] = (
    the_engine_serves,
    it_has_the_model,
    a_stream_is_the_whole_answer_in_pieces,
    a_refusal_names_its_field,
    a_deadline_ends_an_answer,
    who_gives_up_is_let_go,
    a_conversation_goes_on,
)


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("address", metavar="HOST:PORT")
    words.add_argument("model")
    given = words.parse_args()
    with grpc.insecure_channel(given.address) as channel:
        for check in CHECKS:
            name = check.__name__.replace("_", " ")
            try:
                print(f"ok     {name}: {check(Asked(InferenceStub(channel), given.model))}")
            except grpc.RpcError as error:
                print(f"WRONG  {name}: {told(error)}", file=sys.stderr)
                return 1
            except Wrong as wrong:
                print(f"WRONG  {name}: {wrong}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
