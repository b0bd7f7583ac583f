"""Lua 5.1, which Argo CD's interpreter speaks, for its health scripts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

Object = dict[str, Any]
_TOLD = 'local h = (function()\n%s\nend)()\nprint(h.status)\nprint(h.message or "")\n'


def health(script: Path, obj: Object) -> tuple[str, str]:
    """(status, message) that Argo CD would get of `obj`."""
    program = f"obj = {lua_value(obj)}\n" + _TOLD % script.read_text()
    ran = subprocess.run([_lua(), "-"], input=program, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    status, _, message = ran.stdout.partition("\n")
    return status, message.strip()


def lua_value(value: Any) -> str:
    """As Argo CD's interpreter is given it: null is absent, lists begin at 1."""
    if isinstance(value, dict):
        return "{" + ",".join(f"[{_text(key)}]={lua_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ",".join(map(lua_value, value)) + "}"
    if isinstance(value, str):
        return _text(value)
    if value is None:
        return "nil"
    return json.dumps(value)


def _text(value: str) -> str:
    return '"' + "".join(f"\\{byte:03d}" for byte in value.encode()) + '"'


def _lua() -> str:
    if found := shutil.which("lua5.1"):
        return found
    if os.environ.get("CI") == "true":
        pytest.fail("lua5.1 is not here: run `make services`")
    pytest.skip("lua5.1 is not here (`make services` installs it)")
