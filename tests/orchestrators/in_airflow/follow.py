"""Submits runs and follows each with our trigger, as a worker and a triggerer do; tells which events were fired.

Standard input lists the cases: {"cluster": {}, "name": of the run, "seconds": until its deadline, "then": what befalls
each time}. Each of `then` submits the name again: "" follows it to the end, "die" kills the triggerer after a second,
"kill" has a person mark the task, and "unsubmitted" follows a run that nobody has submitted. Each trigger is written
down as Airflow keeps it in its database, and the one that is followed is made from that.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from airflow.models.trigger import Trigger
from airflow.sdk import BaseHook
from airflow.sdk._shared.module_loading import import_string
from airflow.triggers.base import BaseTrigger

from nexus_airflow.cluster_api import address_of, submitted
from nexus_airflow.cluster_trigger import ClusterRunTrigger
from nexus_airflow.clusters import read_cluster


def kept(trigger: BaseTrigger) -> BaseTrigger:
    row = Trigger.from_object(trigger)
    again: BaseTrigger = import_string(row.classpath)(**row.kwargs)
    return again


async def fired(trigger: BaseTrigger) -> Any:
    return (await anext(aiter(trigger.run()))).payload


async def follow(case: dict[str, Any], then: str) -> Any:
    cluster = read_cluster(case["cluster"])
    address, run = address_of(BaseHook.get_connection(cluster.connection)), case["name"]
    if then != "unsubmitted":
        run = (await submitted(cluster, address, run, '{"model": "chat"}')).id
    trigger = kept(ClusterRunTrigger(case["cluster"], run, time.time() + case["seconds"]))
    if then in ("die", "kill"):
        first = asyncio.create_task(fired(trigger))
        done, _ = await asyncio.wait([first], timeout=1)
        assert not done, "the run ended before its triggerer did"
        first.cancel()
        await asyncio.wait([first])
    if then == "kill":
        await trigger.on_kill()
    return await fired(kept(trigger))


async def main() -> None:
    print(json.dumps([[await follow(case, then) for then in case["then"]] for case in json.load(sys.stdin)]))


asyncio.run(main())
