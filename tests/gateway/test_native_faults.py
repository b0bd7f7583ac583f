"""A fault in one stream that is relayed in C (gateway/native/) is that one's alone, and of none anything is left."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from pathlib import Path
from types import FunctionType, MethodType

import pytest

from nexus_gateway.settings import Edge
from nexus_gateway.streamed import Streamed
from nexus_gateway.upstreams.protocol import UpstreamSlow
from nexus_gateway.wire import WireProtocol

from ..support.hand_fed import END, hand_fed
from ..support.issuer import until
from ..support.passed_by import DONE, FIRST, LARGE, NEXT, OURS, event, filled, frame, on_sockets, watching

pytest.importorskip("nexus_native", reason="nexus-native is not built here")

# --- a fault in one of them -------------------------------------------------------------------------------------------

BOOM = frame(b": boom\n\n")


@pytest.mark.parametrize("edge", OURS)
@on_sockets
async def test_a_fault_in_one_stream_ends_that_one_alone(
    tmp_path: Path, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(stream: Streamed, data: bytes, framed: bytes) -> None:
        if b"boom" in data:
            raise ArithmeticError("for this test")
        kept(stream, data, framed)

    kept = Streamed.take
    monkeypatch.setattr(Streamed, "take", take)
    async with hand_fed(tmp_path, edge) as world:
        (first, faulty), (second, engine) = await world.streaming(FIRST), await world.streaming(FIRST)
        faulty.put(BOOM)
        engine.put(NEXT)  # read in the same turn, and behind it
        await second.until(NEXT)
        body = (await first.answer()).body
        assert b"it closed the connection before its answer was whole" in body
        assert [str(told["exception"]) for told in world.faults] == ["for this test"]
        assert not faulty.there.alive
        await engine.say(NEXT, frame(DONE) + END)
        assert (await second.answer()).body == event("first") + event("next") * 2 + DONE


@on_sockets
async def test_a_fault_of_what_has_no_room_gives_no_client_what_is_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(client: WireProtocol, data: bytes) -> None:
        if faulty and data.endswith(LARGE[-100:]):
            raise ArithmeticError("for this test")
        kept(client, data)

    faulty: list[bool] = []
    kept = WireProtocol.write
    passed = watching(monkeypatch)
    monkeypatch.setattr(WireProtocol, "write", write)
    async with hand_fed(tmp_path, "native") as world:
        (_, first), (client, second) = await world.streaming(FIRST, room=1), await world.streaming(FIRST)
        faulty.append(True)
        said = 1
        while not world.faults:
            first.put(LARGE)
            second.put(NEXT)  # read in the same turn, and written behind it
            await first.is_read()
            await second.is_read()
            said += 1
        await second.say(NEXT, frame(DONE) + END)
        assert (await client.answer()).body == event("first") + event("next") * said + DONE
        assert [str(told["exception"]) for told in world.faults] == ["for this test"]
        assert passed.events > 2


# --- what is left -----------------------------------------------------------------------------------------------------


def parts() -> Counter[str]:
    """What there is, without a collection, of what a stream is made of."""
    names = {"StreamLine", "Streamed", "WireExchange", "Request", "HttpAnswer"}
    return Counter(name for one in gc.get_objects() if (name := type(one).__name__) in names)


@pytest.mark.parametrize("edge", OURS)
@pytest.mark.parametrize("cut", ["by its end", "by its client", "by its engine", "by its clock", "while it is held"])
@on_sockets
async def test_a_stream_leaves_nothing_behind(tmp_path: Path, cut: str, edge: Edge) -> None:
    gc.collect()
    gc.disable()
    before = parts()
    try:
        async with hand_fed(tmp_path, edge) as world:
            client, engine = await world.streaming(FIRST, room=1 if cut == "while it is held" else 0)
            await engine.say(NEXT)
            assert (parts() - before)["StreamLine"] == (edge == "native")
            if cut == "by its end":
                await engine.say(frame(DONE) + END)
                await client.answer()
            elif cut == "by its engine":
                engine.reset()
            elif cut == "by its clock":
                engine.there.abort(UpstreamSlow("for this test"))
            else:
                if cut == "while it is held":
                    await filled(client, engine)
                client.reset()
            await world.line()
            world.connections.clear()
            await until(lambda: parts() == before)
    finally:
        gc.enable()


@on_sockets
async def test_a_line_holds_less_than_a_kilobyte(tmp_path: Path) -> None:
    """The kernel has its entry in the epoll besides: about 200 bytes."""
    async with hand_fed(tmp_path, "native") as world:
        _, engine = await world.streaming(FIRST)
        line = engine.there.line
        assert type(line).__name__ == "StreamLine"
        owned = [one for one in gc.get_referents(line) if isinstance(one, MethodType | FunctionType | list)]
        cells = [cell for one in owned if isinstance(one, FunctionType) for cell in one.__closure__ or ()]
        assert {type(one) for one in owned} == {MethodType, FunctionType, list}
        assert 400 < sum(map(sys.getsizeof, (line, *owned, *cells))) < 1000
