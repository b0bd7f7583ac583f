"""Reads the folder of DAGs as Airflow does; tells on the last line what is in it and what reading it has imported."""

from __future__ import annotations

import json
import sys

from airflow.dag_processing.dagbag import DagBag

before = set(sys.modules)
bag = DagBag()
dags = {
    dag_id: {
        "tasks": {
            task.task_id: {
                "after": sorted(task.upstream_task_ids),
                "retries": task.retries,
                "seconds": task.execution_timeout.total_seconds() if task.execution_timeout else None,
                "rule": str(task.trigger_rule),
                "outlets": [asset.uri for asset in task.outlets],
            }
            for task in dag.tasks
        },
        "catchup": dag.catchup,
        "runs": dag.max_active_runs,
        "drift": getattr(getattr(dag.timetable, "asset_condition", None), "uri", None),
        "cron": getattr(getattr(dag.timetable, "timetable", dag.timetable), "expression", None),
        "seconds": dag.dagrun_timeout.total_seconds(),
    }
    for dag_id, dag in bag.dags.items()
}
imported = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
print(json.dumps({"dags": dags, "errors": list(bag.import_errors.values()), "imported": imported}))
