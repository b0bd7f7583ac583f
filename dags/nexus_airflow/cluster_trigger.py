"""Follows a run on a cluster from Airflow's triggerer, which holds thousands such in one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

from nexus_airflow.cluster_api import Refused, Unanswered, address_of, ask
from nexus_airflow.clusters import Call, Run, read_cluster

_LONGEST_PAUSE = 60.0
_GROWTH = 1.5


class ClusterRunTrigger(BaseTrigger):
    """Fires when the run has ended, is overdue, or cannot be asked for any more.

    What it is made from can be written down, so that another triggerer goes on where one has died; the token is not
    in it. `deadline` is in seconds since 1970, and so the same for each of them.
    """

    def __init__(self, cluster: dict[str, Any], run: str, deadline: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow has no types for it
        self.cluster, self.run_id, self.deadline = read_cluster(cluster), run, deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        made_from = {"cluster": self.cluster.model_dump(), "run": self.run_id, "deadline": self.deadline}
        return f"{__name__}.{type(self).__name__}", made_from

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent(await self._ended())  # type: ignore[no-untyped-call]  # Airflow has no types for it

    async def on_kill(self) -> None:
        """A person has marked or cleared the task."""
        await self._stop()

    async def _ended(self) -> dict[str, str]:
        pause = self.cluster.poll_seconds
        while (left := self.deadline - time.time()) > 0:
            try:
                run = await self._look()
            except Unanswered as error:
                self.log.warning("not answered, asked again in %.0f s: %s", min(pause, left), error)
            except Refused as error:
                return self._event("refused", str(error))
            else:
                if run.state in ("succeeded", "failed"):
                    return self._event(run.state, run.message)
            await asyncio.sleep(min(pause, left))
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)
        await self._stop()
        return self._event("overdue", "it has not ended by its deadline, and is told to stop")

    async def _look(self) -> Run:
        return self.cluster.run(await self._ask(self.cluster.look(self.run_id)))

    async def _stop(self) -> None:
        try:
            await self._ask(self.cluster.stop(self.run_id))
        except (Refused, Unanswered) as error:
            self.log.warning("%s could not be stopped: %s", self.run_id, error)

    async def _ask(self, call: Call) -> Any:
        """With the connection as it is now: a token may be replaced while a run goes on."""
        return await ask(address_of(await BaseHook.aget_connection(self.cluster.connection)), call)

    def _event(self, state: str, message: str) -> dict[str, str]:
        return {"run": self.run_id, "state": state, "message": message}
