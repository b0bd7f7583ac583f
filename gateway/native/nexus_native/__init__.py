"""What the gateway's wire edge does in C where it is built; without it the gateway does the same in Python."""

from nexus_native.plain_json import answer_head, asked, usage
from nexus_native.plane import Plane
from nexus_native.stream_line import StreamLine

__all__ = ["Plane", "StreamLine", "answer_head", "asked", "usage"]
