"""Chat templates: parsed and walked, never rendered here; refused where they reach for more than text.

Engines render them in a sandbox of their own; what is refused here is what a sandbox has been broken by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nexus_release.inspection.fault import Fault, quoted

if TYPE_CHECKING:
    from jinja2 import nodes

_LARGEST = 256 << 10  # characters
_DEEPEST_LOOP = 8
_FUNCTIONS = frozenset({"raise_exception", "strftime_now", "range", "namespace", "dict", "cycler", "joiner"})
"""What transformers gives to templates, and Jinja's own that only make values."""
_ANYWHERE = frozenset({"loop", "caller", "self"})


def check_templates(files: Mapping[str, Path], settings: Mapping[str, Any]) -> None:
    """Of files and of `chat_template` in JSON, one or several by name. Raises Fault."""
    for name, path in files.items():
        if name.endswith(".jinja"):
            _check(name, path.read_text(encoding="utf-8"))
    for name, document in settings.items():
        for text in _texts(document.get("chat_template")):
            _check(name, text)


def _texts(said: Any) -> Iterator[str]:
    if isinstance(said, str):
        yield said
    elif isinstance(said, list | dict):
        for item in said.values() if isinstance(said, dict) else said:
            yield from _texts(item.get("template") if isinstance(item, dict) else item)


def _check(file: str, text: str) -> None:
    from jinja2 import TemplateSyntaxError

    if len(text) > _LARGEST:
        raise Fault(file, f"its chat template is longer than {_LARGEST} characters")
    try:
        tree = _parser().parse(text)
    except (TemplateSyntaxError, RecursionError) as error:
        raise Fault(file, f"its chat template is no Jinja: {quoted(error)}") from None
    if problem := next(_problems(tree), None):
        raise Fault(file, f"its chat template {problem}")


def _problems(tree: nodes.Template) -> Iterator[str]:
    from jinja2 import nodes

    own = {macro.name for macro in tree.find_all(nodes.Macro)}
    own |= {name.name for name in tree.find_all(nodes.Name) if name.ctx in ("store", "param")}
    for node in tree.find_all((nodes.Import, nodes.FromImport, nodes.Include, nodes.Extends)):
        yield f"reads another file ({type(node).__name__.lower()})"
    for attribute in tree.find_all(nodes.Getattr):
        if attribute.attr.startswith("_"):
            yield f"reaches for {quoted(attribute.attr)}"
    for item in tree.find_all(nodes.Getitem):
        if isinstance(item.arg, nodes.Const) and str(item.arg.value).startswith("__"):
            yield f"reaches for {quoted(item.arg.value)}"
    for filtered in tree.find_all(nodes.Filter):
        if filtered.name in ("attr", "pprint", "xmlattr"):
            yield f"uses the filter {filtered.name}"
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name not in _FUNCTIONS | _ANYWHERE | own:
            yield f"calls {quoted(call.node.name)}"
    if _loops(tree) > _DEEPEST_LOOP:
        yield f"has loops nested deeper than {_DEEPEST_LOOP}"


def _loops(node: nodes.Node) -> int:
    from jinja2 import nodes

    inner = max((_loops(child) for child in node.iter_child_nodes()), default=0)
    return inner + isinstance(node, nodes.For)


def _parser() -> Any:
    from jinja2 import nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks the assistant's words for training; transformers' templates have it."""

        tags = {"generation"}  # noqa: RUF012 - Jinja reads it from the class

        def parse(self, parser: Any) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body).set_lineno(line)

    return ImmutableSandboxedEnvironment(extensions=[Generation, loopcontrols])
