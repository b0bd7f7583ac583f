"""What the gateway's wire edge does in C where it is built; without it the gateway does the same in Python."""

from nexus_native.buckets import Buckets
from nexus_native.chain import bound_texts
from nexus_native.client_line import ClientLine
from nexus_native.door import Door
from nexus_native.engine_line import EngineLine
from nexus_native.events import Events
from nexus_native.forms import Form
from nexus_native.leases import Leases
from nexus_native.native_way import NativeWay
from nexus_native.plain_json import answer_head, asked, usage
from nexus_native.plane import Plane
from nexus_native.stream_line import StreamLine

__all__ = [
    "Buckets",
    "ClientLine",
    "Door",
    "EngineLine",
    "Events",
    "Form",
    "Leases",
    "NativeWay",
    "Plane",
    "StreamLine",
    "answer_head",
    "asked",
    "bound_texts",
    "usage",
]
