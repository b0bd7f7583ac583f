"""Which texts of a JSON document are masked: every one, but for those that are compared or looked up.

Those are names, ids, the kinds of things, and the schemas of tools and answers, but for what describes them. Under a
key whose object holds whatever its caller likes, every text is masked. Data of pictures, sound and files, embeddings
and signatures stay as they are: no pattern can look into them, and a change would break them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_COMPARED = frozenset({
    "model", "role", "type", "object", "name", "id", "event", "status", "finish_reason", "stop_reason", "media_type",
    "mime_type", "detail", "format", "encoding_format", "reasoning_effort", "effort", "service_tier", "tool_choice",
    "verbosity", "truncation", "phase", "tool_call_id", "tool_use_id", "call_id", "item_id", "file_id", "response_id",
    "container_id", "previous_response_id", "approval_request_id", "vector_store_ids", "system_fingerprint",
    "request_id", "obfuscation",
})  # fmt: skip
_DESCRIBING = frozenset({"description", "title", "default", "example", "examples"})
_SCHEMAS = frozenset({"parameters", "input_schema", "output_schema", "schema"})
_FREE = frozenset({"input", "arguments", "variables", "metadata"})
"""Objects under these keys are the caller's own; `input` as a list is the Responses API's."""
_FREE_LISTED = frozenset({"documents"})
_PEOPLE = frozenset({"messages", "input"})
"""In an object of these lists `name` is a person's."""
_OPAQUE = frozenset({
    "data", "file_data", "b64_json", "partial_image_b64", "embedding", "encrypted_content", "signature", "url",
    "image_url", "file_url", "video_url",
})  # fmt: skip
_BASE64 = re.compile(r"(?:data:[\w/.+;=-]{0,128},)?[A-Za-z0-9+/_\s-]*={0,2}")
_FEWEST_OPAQUE = 64  # characters; what is shorter is looked at in any case


@dataclass(frozen=True, slots=True)
class Holder:
    """An object in a document, by where it stands."""

    rule: Literal["known", "free", "schema"] = "known"
    listed_under: str = ""

    def within(self, key: str, *, listed: bool) -> Holder:
        """An object under a key of this one, or in a list there."""
        if self.rule != "known":
            return self
        if key in _SCHEMAS:
            return _SCHEMA
        if key in _FREE_LISTED or (key in _FREE and not listed):
            return _FREE_OBJECT
        return Holder("known", key if listed else "")

    def masks(self, key: str, value: str) -> bool:
        """Whether a text under a key, or in a list there, is masked."""
        if self.rule == "schema":
            return key in _DESCRIBING
        if key in _OPAQUE and len(value) >= _FEWEST_OPAQUE and _BASE64.fullmatch(value):
            return False
        if self.rule == "free" or key not in _COMPARED:
            return True
        return key == "name" and self.listed_under in _PEOPLE


_SCHEMA, _FREE_OBJECT = Holder("schema"), Holder("free")
ROOT = Holder()
