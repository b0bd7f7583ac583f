from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

_Counted = tuple[list[int], float]

def asked(body: bytes) -> tuple[str, bool, int, int, int, int, int, bool] | None: ...
def usage(body: bytes) -> tuple[int, int, int] | None: ...
def answer_head(data: bytes) -> tuple[int, int, bool] | None: ...
def bound_texts(hash: str, seq: int, texts: list[bytes]) -> tuple[bytes, str, int]: ...

class Plane:
    def fileno(self) -> int: ...
    def turn(self) -> None: ...

class StreamLine:
    def __init__(
        self,
        plane: Plane,
        source: int,
        sink: int,
        ready: Callable[[], bool],
        deliver: Callable[[bytes], None],
        over: Callable[[BaseException | None], None],
        spill: Callable[[bytes], None],
        marks: tuple[bytes, ...],
        keeps: bool,
        bounds: tuple[float, ...],
        asked: float,
    ) -> None: ...
    def end(self) -> None: ...
    def taken(self, asked: float) -> tuple[float, int, int, list[int], float, float, list[bytes]]: ...

class Form:
    most: int
    def __init__(self, pieces: tuple[bytes, ...], fields: tuple[int, ...]) -> None: ...
    def filled(
        self,
        ids: bytes,
        length: int,
        numbers: tuple[int, ...],
        time: bytes,
        milliseconds: float,
        first_byte: float,
        longest_gap: float,
        prompt: int,
        completion: int,
        cached: int,
    ) -> bytes: ...

class Events:
    events: int
    bytes: int
    done: bool
    told_usage: bool
    prompt: int
    completion: int
    cached: int
    def __init__(self, bounds: tuple[float, ...]) -> None: ...
    def gaps(self) -> tuple[float, list[int], float, float]: ...

class _Counting:
    def taken(
        self, name: str, limits: object, most_requests: int, most_tokens: int, amount: int
    ) -> tuple[int, tuple[int, ...]] | None: ...
    def corrected(self, name: str, window: int, amount: int) -> None: ...

class Buckets(_Counting):
    def __init__(self, by_name: OrderedDict[str, Any], window: float, clock: Callable[[], float] | None) -> None: ...

class Leases(_Counting):
    def __init__(
        self, by_name: dict[str, Any], window: float, clock: Callable[[], float] | None, owe: Callable[..., None]
    ) -> None: ...

class NativeWay:
    way: Any  # a `Way`: types of the program's own are not known here
    def __init__(
        self,
        *,
        way: object,
        model: bytes,
        snapshot: object,
        keys: object,
        expires: float,
        ask: Form,
        answer: Form,
        stream: Form | None,
        audit: Form | None,
        gap_bounds: tuple[float, ...],
        chunk: float,
        idle: list[Any],
        pool: object,
        endpoint: str,
        state: object,
        owner: str,
        under_way: dict[str, int],
        most_parallel: int,
        limits: object,
        settle: object,
        counting: Buckets | Leases | None,
        reserved: object,
        most_requests: int,
        most_tokens: int,
        bounds: int,
        many: int,
        several_prompts: bool,
        answer_tokens: int,
        tokens_a_minute: float,
        percent_saved: float,
        first_byte: float,
        total: float,
        seconds: tuple[tuple[float, ...], ...],
    ) -> None: ...
    def forget(self) -> None: ...
    def taken(self) -> tuple[int, int, int, int, list[_Counted], _Counted]: ...

class Door:
    plane: Plane
    circuits: dict[str, object]
    def __init__(
        self,
        plane: Plane,
        gateway: object,
        loop: object,
        find: Callable[..., NativeWay | None],
        tell: Callable[[bytearray, int, Sequence[bytes]], None],
    ) -> None: ...
    def ring(self) -> None: ...
    def tell(self) -> None: ...
    def counted(self) -> set[NativeWay]: ...
    def leave(self) -> None: ...

class EngineLine:
    connection: object
    def __init__(self, plane: Plane, source: int, connection: object) -> None: ...
    def end(self) -> None: ...

class ClientLine:
    asks: bool
    idle_since: float
    until: float
    def __init__(
        self,
        door: Door,
        source: int,
        wire: object,
        known: object,
        head: bytes,
        digits_at: int,
        way: NativeWay,
        logs: tuple[Form, Form],
    ) -> None: ...
    def end(self) -> None: ...
    def take_over(
        self,
        engine: EngineLine,
        fresh: bool,
        body: bytes,
        streams: bool,
        admitted: object,
        ids: str,
        started: float,
        until: float,
    ) -> None: ...
    def hand_back(self) -> None: ...
    def look_at_time(self, time: float) -> None: ...
