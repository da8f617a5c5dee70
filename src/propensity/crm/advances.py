"""Where a tier moves a record in the CRM's own order of stages: on, or nowhere."""

from __future__ import annotations

from propensity.params import AdvanceParams


def next_stage(tier: str, stage: str | None, params: AdvanceParams) -> str | None:
    """Return the stage that a record is moved to, None where it stays.

    Parameters
    ----------
    tier : str
        Of the score. Only MQL and SQL move a record; an SQL without a stage of its own is moved as an MQL.
    stage : str or None
        What the record has; None where it has none, which comes before the first. Upper and lower case
        are alike. A stage outside the order is never left: nobody said what comes after it.
    params : AdvanceParams

    Examples
    --------
    >>> order = AdvanceParams(column="stage", order=["new", "working", "won"], sql="working")
    >>> next_stage("sql", "new", order), next_stage("sql", "won", order), next_stage("nurture", "new", order)
    ('working', None, None)
    """
    target = {"mql": params.mql, "sql": params.sql or params.mql}.get(tier)
    if target is None:
        return None
    order = [name.strip().lower() for name in params.order]
    folded = None if stage is None else stage.strip().lower()
    if folded is not None and folded not in order:
        return None
    place = -1 if folded is None else order.index(folded)
    return target if params.order.index(target) > place else None
