from collections.abc import Callable

def asked(body: bytes) -> tuple[str, bool, int, int, int, int, int, bool] | None: ...
def usage(body: bytes) -> tuple[int, int, int] | None: ...
def answer_head(data: bytes) -> tuple[int, int, bool] | None: ...

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
        over: Callable[[], None],
        spill: Callable[[bytes], None],
        marks: tuple[bytes, ...],
        keeps: bool,
        bounds: tuple[float, ...],
        asked: float,
    ) -> None: ...
    def end(self) -> None: ...
    def taken(self, asked: float) -> tuple[float, int, int, list[int], float, float, list[bytes]]: ...
