"""The nightly scores and the weekly retraining as Airflow 3 runs them, by the command line.

A code of 75 (locked, unreachable) is tried again; any other one fails the task at once, with the sentence
that says why in the task's log.
"""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.sdk import dag, task

WORKSPACE = "/srv/propensity/crm"
PROPENSITY = "/srv/propensity/.venv/bin/propensity"
TRY_AGAIN = 75


@task(retries=6, retry_delay=timedelta(minutes=10))
def propensity(*arguments: str) -> None:
    """Run one command in the workspace."""
    code = subprocess.run([PROPENSITY, *arguments], cwd=WORKSPACE, check=False).returncode
    if code == TRY_AGAIN:
        raise AirflowException("locked or unreachable, to be tried again")
    if code != 0:
        raise AirflowFailException(f"exit code {code}; the log above says why")


@dag(schedule="30 2 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def propensity_nightly() -> None:
    """Score the open leads, then look at how the model does."""
    scores = propensity.override(task_id="score")(
        "score", "--previous", "latest", "--export", "hubspot", "--export", "xlsx"
    )
    scores >> propensity.override(task_id="monitor")("monitor")


@dag(schedule="0 5 * * 0", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def propensity_weekly() -> None:
    """Retrain, and promote what passes the gate."""
    trained = propensity.override(task_id="run")("run")
    trained >> propensity.override(task_id="promote")("promote", "--by", "airflow")


propensity_nightly()
propensity_weekly()
