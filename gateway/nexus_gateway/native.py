"""What is done in C where that is built (`gateway/native/`): sockets of plain traffic are read and written there.
Without it all is done in Python, by the same rules."""

from __future__ import annotations

import asyncio
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from nexus_native import Plane


def is_built() -> bool:
    """For this Python. It is loaded when the first connection is lent to it: until then it needs no memory."""
    package = find_spec("nexus_native")
    places = None if package is None else package.submodule_search_locations
    return places is not None and PathFinder.find_spec("nexus_native.plane", places) is not None


def is_loaded() -> bool:
    """In this process; never where it is not built."""
    return "nexus_native" in sys.modules


_PLANES: WeakKeyDictionary[asyncio.AbstractEventLoop, Plane] = WeakKeyDictionary()


def plane_of(loop: asyncio.AbstractEventLoop) -> Plane:
    """Of a gateway that has it. The loop calls it when anything comes for any of its sockets."""
    found = _PLANES.get(loop)
    if found is None:
        from nexus_native import Plane

        found = _PLANES[loop] = Plane()
        loop.add_reader(found.fileno(), found.turn)
    return found


def fail(
    loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, protocol: asyncio.Protocol, fault: BaseException
) -> None:
    """What was raised by what reads in a transport's stead ends that one alone, as the loop does it."""
    message = f"Fatal error on transport {type(transport).__name__}"
    loop.call_exception_handler({"message": message, "exception": fault, "transport": transport, "protocol": protocol})
    transport.abort()


def lendable(transport: asyncio.Transport) -> int | None:
    """The socket of a transport that has nothing to write to it; None where it cannot be read and written past it."""
    socket = transport.get_extra_info("socket")
    if socket is None or transport.is_closing() or transport.get_write_buffer_size():
        return None
    return int(socket.fileno())
