"""YAML as configuration needs it: no aliases, no key twice, no objects of Python."""

from __future__ import annotations

from typing import Any

from nexus_gateway.config_errors import ConfigRefused


def parse_yaml(name: str, data: bytes) -> Any:
    """Raises ConfigRefused that names the file."""
    import yaml

    try:
        return yaml.load(data, _Loader)  # noqa: S506 - a SafeLoader that refuses aliases and doubled keys
    except yaml.YAMLError as error:
        raise ConfigRefused(f"{name}: no YAML: {' '.join(str(error).split())[:200]}") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise ConfigRefused(f"{name}: no YAML: {error}") from None
    except ValueError:  # of a date that there is not, or a tag that does not fit
        raise ConfigRefused(f"{name}: no YAML: a value is not of the kind that it looks like") from None


def _make_loader() -> Any:
    import yaml
    from yaml._yaml import CParser
    from yaml.composer import Composer
    from yaml.constructor import SafeConstructor
    from yaml.resolver import Resolver

    class Loader(Composer, CParser, SafeConstructor, Resolver):
        """Aliases can make a small file a huge one; a doubled key hides one of two meanings. The events are libyaml's,
        seven times as fast as Python's; the composer is Python's, which can be told what to refuse."""

        def __init__(self, data: bytes) -> None:
            CParser.__init__(self, data)
            Composer.__init__(self)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not taken")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            if twice := [key for key in keys if keys.count(key) > 1]:
                raise yaml.YAMLError(f"key {twice[0]!r} stands twice")
            return super().construct_mapping(node, deep)

    return Loader


_Loader = _make_loader()
