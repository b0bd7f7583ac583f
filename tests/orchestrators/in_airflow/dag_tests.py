"""Runs DAGs one after another by Airflow's `dag.test()`, and tells on the last line how each run has ended.

Standard input lists the cases: {"dag": id, "conf": {}, "date": logical date or null, "timeout": seconds for each task
that has a deadline}. Tasks are tried again at once.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select


def run(bag: DagBag, case: dict[str, Any]) -> dict[str, Any]:
    dag = bag.dags[case["dag"]]
    for task in dag.tasks:
        task.retry_delay = timedelta(0)
        if "timeout" in case and task.execution_timeout:
            task.execution_timeout = timedelta(seconds=case["timeout"])
    date = datetime.now(UTC)
    if "date" in case:
        date = case["date"] and datetime.fromisoformat(case["date"])
    ended = dag.test(logical_date=date, run_conf=case.get("conf"))
    with create_session() as session:
        of_run = XComModel.run_id == ended.run_id
        pushed = session.scalars(select(XComModel).where(XComModel.dag_id == dag.dag_id, of_run)).all()
        return {
            "state": str(ended.state),
            "run": ended.run_id,
            "tasks": {ti.task_id: str(ti.state) for ti in ended.get_task_instances(session=session)},
            "tries": {ti.task_id: ti.try_number for ti in ended.get_task_instances(session=session)},
            "xcoms": {f"{one.task_id} {one.key}": XComModel.deserialize_value(one) for one in pushed},
        }


bag = DagBag()
assert not bag.import_errors, bag.import_errors
told = [run(bag, case) for case in json.load(sys.stdin)]
print(json.dumps(told))
