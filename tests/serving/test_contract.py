"""The gRPC contract keeps its word: a number means what it has always meant."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from nexus_inference import nexus_inference_pb2 as pb

from ..support.repository import ROOT

FROZEN = ROOT / "serving" / "contracts" / "fields.txt"
TYPES = {getattr(FieldDescriptor, name): name[5:].lower() for name in dir(FieldDescriptor) if name.startswith("TYPE_")}


def said() -> list[str]:
    """One line for each field, value and method of the contract."""
    lines = [line for message in pb.DESCRIPTOR.message_types_by_name.values() for line in fields(message)]
    lines += [line for enum in pb.DESCRIPTOR.enum_types_by_name.values() for line in values(enum)]
    (service,) = pb.DESCRIPTOR.services_by_name.values()
    for method in service.methods:
        asked = f"{'stream ' if method.client_streaming else ''}{method.input_type.name}"
        answered = f"{'stream ' if method.server_streaming else ''}{method.output_type.name}"
        lines.append(f"{service.full_name}/{method.name}: {asked} -> {answered}")
    return sorted(lines)


def fields(message: Descriptor) -> Iterator[str]:
    for field in message.fields:
        kind = field.message_type or field.enum_type
        how = "repeated " if field.is_repeated else "optional " if field.has_presence and kind is None else ""
        yield f"{message.full_name}.{field.name} = {field.number}: {how}{kind.name if kind else TYPES[field.type]}"
    for enum in message.enum_types:
        yield from values(enum)


def values(enum: EnumDescriptor) -> Iterator[str]:
    for value in enum.values:
        yield f"{enum.full_name}.{value.name} = {value.number}"


def test_names_numbers_and_kinds_are_those_that_were_frozen() -> None:
    """A line that is gone or other breaks every client of before; what is new is written into the list."""
    frozen = FROZEN.read_text(encoding="utf-8").splitlines()
    assert set(frozen) - set(said()) == set(), "clients of before rely on these"
    assert set(said()) - set(frozen) == set(), f"new: add them to {FROZEN.relative_to(ROOT)}"
    assert frozen == sorted(frozen)


def test_a_client_of_before_reads_what_an_engine_of_later_adds() -> None:
    answer = pb.ChatAnswer(content="hello").SerializeToString() + b"\xca\x3e\x03new"  # field 1001, of bytes
    assert pb.ChatAnswer.FromString(answer).content == "hello"


def test_fields_bear_openais_names() -> None:
    from nexus_gateway.surfaces import SURFACES

    ours = {"sampling", "text", "tokens"}
    of_vllm = {"top_k", "ignore_eos"}
    for path, kind in (
        ("/v1/chat/completions", pb.ChatRequest),
        ("/v1/completions", pb.CompletionRequest),
        ("/v1/embeddings", pb.EmbeddingRequest),
    ):
        names = {field.name for field in kind.DESCRIPTOR.fields}
        assert names - ours <= SURFACES[path].fields
    sampling = {field.name for field in pb.Sampling.DESCRIPTOR.fields}
    assert sampling - of_vllm <= SURFACES["/v1/completions"].fields
