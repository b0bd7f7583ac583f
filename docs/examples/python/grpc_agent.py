"""An agent within a cluster that talks with an engine by gRPC: grpc_agent.py HOST:PORT MODEL QUESTION [QUESTION ...]

Each question goes on from the answers before it. What is missing without the gateway, callers, limits, splits and
x-nexus-release, nobody adds: the engine's address is the release.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any

import grpc

from nexus_inference import nexus_inference_pb2 as pb
from nexus_inference.nexus_inference_pb2_grpc import InferenceStub

SECONDS = 60.0  # the deadline of one answer; it travels, so that the engine stops by then too
TRIES = 4
LONGEST_WAIT = 30.0  # between two tries, whatever the engine says
AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}


class Conversation:
    def __init__(self, stub: Any, model: str) -> None:
        self._stub, self._model = stub, model
        self._messages: list[pb.Message] = []

    def ask(self, question: str) -> pb.ChatPiece:
        """Prints the answer as it comes, and gives its last piece, which has the usage. Raises grpc.RpcError."""
        self._messages.append(_message("user", question))
        sampling = pb.Sampling(max_tokens=60, temperature=0.0)
        asked = pb.ChatRequest(model=self._model, messages=self._messages, sampling=sampling)
        text, last = self._heard(asked)
        self._messages.append(_message("assistant", text))
        return last

    def _heard(self, asked: pb.ChatRequest) -> tuple[str, pb.ChatPiece]:
        """Asks again what failed before its first piece; a stream that has begun is never asked again."""
        request = str(uuid.uuid4())
        for tries in range(1, TRIES + 1):
            pieces: list[pb.ChatPiece] = []
            try:
                for piece in self._stub.StreamChat(asked, timeout=SECONDS, metadata=[("x-request-id", request)]):
                    pieces.append(piece)
                    print(piece.content, end="", flush=True)
            except grpc.RpcError as error:
                if pieces or tries == TRIES or error.code() not in AGAIN:
                    raise
                if (wait := _wait(error, tries)) > LONGEST_WAIT:
                    raise  # whoever asked has gone by then
                time.sleep(wait)
            else:
                break
        print()
        return "".join(piece.content for piece in pieces), pieces[-1]


def refusal_of(error: grpc.RpcError) -> pb.Error:
    """What the engine itself says; without a field where it says nothing, as the network does."""
    trailers = dict(error.trailing_metadata() or ())
    said: pb.Error = pb.Error.FromString(trailers.get("nexus-error-bin", b""))
    return said


def told(error: grpc.RpcError) -> str:
    said = refusal_of(error)
    return f"{error.code().name} {said.code} {said.param}: {said.message or error.details()}"


def _wait(error: grpc.RpcError, tries: int) -> float:
    """Seconds: as long as the engine says, and by chance up to twice as long after each try."""
    asked_for: int = refusal_of(error).retry_after_seconds
    return asked_for + random.random() * 0.25 * 2.0**tries  # noqa: S311 - no secret


def _message(role: str, text: str) -> pb.Message:
    return pb.Message(role=role, content=[pb.ContentPart(text=text)])


def converse(address: str, model: str, questions: Sequence[str]) -> None:
    with grpc.insecure_channel(address) as channel:  # grpc.secure_channel, where the engine has a certificate
        conversation = Conversation(InferenceStub(channel), model)
        for question in questions:
            usage = conversation.ask(question).usage
            print(f"{usage.prompt_tokens} tokens asked, {usage.completion_tokens} answered", file=sys.stderr)


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("address", metavar="HOST:PORT")
    words.add_argument("model")
    words.add_argument("questions", metavar="QUESTION", nargs="+")
    given = words.parse_args()
    try:
        converse(given.address, given.model, given.questions)
    except grpc.RpcError as error:
        print(f"grpc_agent: {told(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
