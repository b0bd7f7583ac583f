"""YAML as Nexus reads and writes it: no surprises in, stable bytes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from yaml._yaml import CParser
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from nexus_release.errors import BadInput, Missing
from nexus_release.names import MENDS

Location = tuple[int | str, ...]
"""Keys and indices from a document's root to one of its values."""

M = TypeVar("M", bound=BaseModel)

_MAX_BYTES = 1 << 20  # far above any file that people write, far below what a parser needs minutes for
_MAX_DEPTH = 32


def read_yaml(root: Path, path: str) -> object:
    """The one document in `root / path`. Raises Missing or BadInput, which name `path`."""
    try:
        data = (root / path).read_bytes()
    except FileNotFoundError:
        raise Missing(f"{path}: no such file") from None
    return parse_yaml(data, path)


def parse_yaml(data: bytes, where: str) -> object:
    """Refuses (BadInput) what hides or multiplies values: duplicate keys, aliases, tags, characters that cannot be
    seen, deep nesting, long files."""
    if len(data) > _MAX_BYTES:
        raise BadInput(where, f"{len(data)} bytes", f"keep the file within {_MAX_BYTES} bytes")
    try:
        document = _StrictLoader(data).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        raise BadInput(
            place, error.problem or "", "write plain YAML: one document, each key once, no aliases"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise BadInput(where, str(error).splitlines()[0], "write plain YAML in UTF-8") from None
    for location, text in _texts(document, ()):
        if not text.replace("\n", "").isprintable():
            field = ".".join(str(part) for part in location)
            raise BadInput(f"{where}: {field}", text, "keep to characters that can be seen")
    return document


def yaml_faults(root: Path, folder: str) -> Iterator[str]:
    """What `parse_yaml` refuses below `root / folder`, a sentence each, by path."""
    for path in sorted((root / folder).rglob("*.yaml")):
        if path.is_file():
            try:
                read_yaml(root, path.relative_to(root).as_posix())
            except BadInput as error:
                yield str(error)


def yaml_text(value: object, *, sort_keys: bool = True) -> str:
    """The same value is the same text. Strings that YAML 1.1 or 1.2 could read as anything else are quoted."""
    return yaml.dump(
        value, Dumper=_StableDumper, sort_keys=sort_keys, allow_unicode=True, default_flow_style=False, width=1 << 20
    )


def validated(model: type[M], document: object, where: Callable[[Location], str]) -> M:
    """`document` as `model`. Raises BadInput for the first fault; `where` gives the file that a location is from."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise _refused(model, error, where) from None


def validated_json(model: type[M], data: bytes, where: str) -> M:
    """The same for JSON; `where` names the file."""
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise _refused(model, error, lambda _: where) from None


def _refused(model: type[BaseModel], error: ValidationError, where: Callable[[Location], str]) -> BadInput:
    first = error.errors(include_url=False)[0]
    location: Location = first["loc"]
    field = ".".join(str(part) for part in location) or "(whole file)"
    return BadInput(f"{where(location)}: {field}", first.get("input"), _mend(model, location, first))


def _texts(value: object, at: Location) -> Iterator[tuple[Location, str]]:
    """Every text of a document, keys too, and where it stands. No document is nested deep."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield at, key
            yield from _texts(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*at, index))


class _StrictLoader(Composer, CParser, SafeConstructor, Resolver):
    """libyaml's events, seven times as fast as Python's; the composer is Python's, which can be told what to refuse."""

    def __init__(self, data: bytes) -> None:
        CParser.__init__(self, data)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _refusal("an alias", event)
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _refusal("nested too deep", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise _refusal("a key that is no string", key)
            if key.value in seen:
                raise _refusal(f"the key {key.value} again", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _refusal(problem: str, at: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


class _StableDumper(yaml.CSafeDumper):
    """libyaml's, for the same bytes in a ninth of the time. Every wheel of PyYAML has it; the two write some characters
    beyond the BMP unlike, so that there is no falling back to the other."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _string(dumper: yaml.CSafeDumper, value: str) -> yaml.ScalarNode:
    # PyYAML follows YAML 1.1, where 12e4 and 0o17 are strings; Kubernetes follows 1.2, where they are numbers.
    risky = value[:1] in "0123456789.+-" or value in ("y", "Y", "n", "N")
    style = "'" if risky and "\n" not in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_StableDumper.add_representer(str, _string)


def _mend(model: type[BaseModel], location: Location, fault: Mapping[str, Any]) -> str:
    if fault["type"] == "extra_forbidden":
        known = _model_at(model, location[:-1])
        return f"unknown key; known here: {', '.join(sorted(_names(known)))}" if known else "unknown key"
    if fault["type"] == "missing":
        return f"{location[-1]} is missing; set it"
    if fault["type"] == "string_pattern_mismatch":
        return MENDS.get(fault["ctx"]["pattern"], str(fault["msg"]))
    return str(fault["msg"])


def _names(model: type[BaseModel]) -> Iterator[str]:
    """Of its fields, as a file has them."""
    return (field.alias or name for name, field in model.model_fields.items())


def _model_at(model: type[BaseModel] | None, location: Sequence[int | str]) -> type[BaseModel] | None:
    for part in location:
        if model is not None and isinstance(part, str):
            found = model.model_fields.get(part)
            model = _inner_model(found.annotation) if found else None
    return model


def _inner_model(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner_model(part))), None)
