"""Argo's tags and expressions, as far as our templates use them. Whatever it does not know, it refuses."""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_TAG = re.compile(r"\{\{(=?)(.*?)\}\}")
_COMPARISONS: Mapping[type, Callable[[Any, Any], bool]] = {ast.Eq: operator.eq, ast.NotEq: operator.ne}
_CONSTANTS = {"true": True, "false": False}


class Unresolved(Exception):
    """Something that nobody gives a value."""


def filled(text: str, scope: Mapping[str, str]) -> str:
    """`text` with its tags replaced, and then those in what has replaced them: Argo fills a template with what all may
    know, and the result with its inputs."""

    def value(tag: re.Match[str]) -> str:
        return str(evaluated(tag[2], scope)) if tag[1] else str(_looked_up(tag[2].strip(), scope))

    return _TAG.sub(value, _TAG.sub(value, text))


def evaluated(expression: str, scope: Mapping[str, Any]) -> Any:
    """By Python's grammar, which for what we write is that of expr-lang."""
    return _value(ast.parse(expression.replace("&&", " and "), mode="eval").body, scope)


def holds(depends: str, states: Mapping[str, bool]) -> bool:
    """`a.Succeeded && b.Succeeded`, by the states that tasks have ended in."""
    assert re.fullmatch(r"([a-z-]+\.Succeeded( && (?=[a-z]))?)*", depends), f"not understood: {depends}"
    return all(states.get(word, False) for word in depends.split(" && ") if word)


def replaced(text: str, mounts: Mapping[str, Path]) -> str:
    """`text` of a template with the folders of its mounts, where a path starts: after nothing, `=`, `@` or `//`."""
    paths = "|".join(re.escape(path) for path in mounts)
    return re.sub(rf"(?:^|(?<=[=@])|(?<=//))({paths})(?=/|$)", lambda found: str(mounts[found[1]]), text)


def dated() -> dict[str, str]:
    now = datetime.now(UTC)
    return {f"workflow.creationTimestamp.{letter}": now.strftime(f"%{letter}") for letter in "Ymd"}


def _value(node: ast.expr, scope: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name | ast.Attribute):
        name = ast.unparse(node)
        return _CONSTANTS[name] if name in _CONSTANTS else _looked_up(name, scope)
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        return all(_value(one, scope) for one in node.values)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
        return _COMPARISONS[type(node.ops[0])](_value(node.left, scope), _value(node.comparators[0], scope))
    if isinstance(node, ast.Call):
        return _called(ast.unparse(node.func), [_value(one, scope) for one in node.args])
    raise Unresolved(f"not understood: {ast.unparse(node)}")


def _called(function: str, given: list[Any]) -> Any:
    if function == "asInt":
        return int(given[0])
    if function == "jsonpath" and re.fullmatch(r"\$\.\w+", given[1]):
        return json.loads(given[0])[given[1][2:]]
    raise Unresolved(f"not understood: {function}{tuple(given)}")


def _looked_up(name: str, scope: Mapping[str, Any]) -> Any:
    if name not in scope:
        raise Unresolved(f"{name}: nobody gives it a value")
    return scope[name]
