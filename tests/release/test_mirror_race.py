"""Two mirrors and a person who moves main, all at once: no alias ever leads, and at rest each says what Git says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nexus_release.adapters.mlflow_registry import MlflowRegistry
from nexus_release.mirror import Mirror, mirror
from nexus_release.plan import Plan, Pointer, admitted, promoted

from ..support.gateway import until
from ..support.mirrored import Mirrored

pytestmark = pytest.mark.services
SECONDS = 120.0  # of waiting for another thread; all are done within one on a quiet machine


@pytest.fixture
def world(tmp_path: Path, mlflow_server: str, request: pytest.FixtureRequest) -> Mirrored:
    return Mirrored(tmp_path, mlflow_server, f"race/{request.node.name.replace('_', '-')}")


def stable(world: Mirrored, pointer: Pointer) -> Plan:
    return admitted(None, world.model, pointer)


class Before(MlflowRegistry):
    """Does something once, at the last moment before its first write."""

    def __init__(self, world: Mirrored, act: Callable[[], object]) -> None:
        super().__init__(world.url)
        self._acts = [act]

    def set_alias(self, model: str, alias: str, version: int) -> None:
        if self._acts:
            self._acts.pop()()
        super().set_alias(model, alias, version)


def mirrored_by(registry: MlflowRegistry, world: Mirrored) -> Mirror:
    return mirror(world.repository, registry, world.stage, "local")


def test_a_mirror_that_writes_what_main_has_left_meanwhile_mends_it_itself(world: Mirrored) -> None:
    """The worst order: read, looked, held up; main moves, another mirror follows it; then the late write comes."""
    first, second = world.release(1), world.release(2)
    world.remote.plan(stable(world, first))

    def meanwhile() -> None:
        world.remote.plan(promoted(admitted(stable(world, first), world.model, second), second.release, 1))
        world.mirror()
        assert world.aliases() == {"local": 2}

    done = mirrored_by(Before(world, meanwhile), world)
    assert done.commit == world.remote.head
    assert world.aliases() == {"local": 2}


def test_what_a_mirror_that_died_after_a_late_write_left_the_next_one_mends(world: Mirrored) -> None:
    first, second = world.release(1), world.release(2)
    world.remote.plan(stable(world, first))

    class Died(BaseException):
        pass

    class Dying(Before):
        def set_alias(self, model: str, alias: str, version: int) -> None:
            super().set_alias(model, alias, version)
            raise Died

    def meanwhile() -> None:
        world.remote.plan(promoted(admitted(stable(world, first), world.model, second), second.release, 1))
        world.mirror()

    with pytest.raises(Died):
        mirrored_by(Dying(world, meanwhile), world)
    assert world.aliases() == {"local": 1}, "the late write stands"
    (moved,) = world.mirror().which("moved")
    assert (moved.state, moved.version) == ("behind", 2)


def test_two_mirrors_and_a_person_at_once(world: Mirrored) -> None:
    """Releases 1 and 2 are well, 3 never comes up. Whoever reads the alias meanwhile sees what main has named by then
    and what was well, and when all have ended, what main names."""
    one, two, ill = (world.release(seed) for seed in (1, 2, 3))
    world.stage.silent = {world.service(ill)}
    named: set[int] = set()
    ended = threading.Event()
    seen: list[int] = []

    def person() -> None:
        for version, pointer in ((1, one), (3, ill), (2, two), (1, one), (3, ill), (2, two)):
            named.add(version)  # before anybody can read it in main
            world.remote.plan(stable(world, pointer))
            reads = len(seen)
            until(lambda reads=reads: len(seen) > reads, "the alias has been read since", SECONDS)
        ended.set()

    def mirrors() -> None:
        while not ended.is_set():
            world.mirror()
        world.mirror()

    def reader() -> None:
        while not ended.is_set():
            for version in world.aliases().values():
                assert version in named, f"version {version} leads: main has named {named}"
                assert version != 3, "release 3 is not well"
            seen.append(len(named))

    with ThreadPoolExecutor(4) as all_at_once:
        for done in [all_at_once.submit(act) for act in (person, mirrors, mirrors, reader)]:
            try:
                done.result(SECONDS)
            finally:
                ended.set() if done.exception() else None
    assert world.aliases() == {"local": 2}
    assert world.mirror().which("holds")
