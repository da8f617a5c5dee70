"""What a lead is worth, and what acting on it gains.

A won lead brings the margin ``m = won * margin``. Of the leads that are won when sales works them, a
share ``u`` (`untouched`) would buy if nobody touched them, and a share ``v`` (`nurtured`), at least
``u``, if marketing alone kept in touch. A lead that sales would win with probability ``p`` therefore
brings, on average,

- left alone: ``u p m``;
- nurtured, at the cost ``d`` (`nurture`): ``v p m - d``;
- called, at the cost ``c`` (`sales_touch`): ``p m - c``.

Over leaving it alone, nurture gains ``(v - u) p m - d`` and a call ``(1 - u) p m - c``. Each rises with
``p``, so the best plan is two cut-offs, each where the gain of doing more is zero:

- nurture from ``p = d / ((v - u) m)`` up;
- call instead of nurturing from ``p = (c - d) / ((1 - v) m)`` up.

Where the first is not under the second, nurture is never the best of the three, and a lead is called
from ``p = c / ((1 - u) m)`` up; this is also the SQL cut-off where nothing is known of what nurture
brings. The cut-offs that maximise the expected gain on any set of leads with calibrated
probabilities are these (the argument of Elkan 2001, "The foundations of cost-sensitive learning").
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from propensity.params import ValueParams

Vector = npt.NDArray[np.float64]


def expected_value(probability: Vector, tier: npt.NDArray[np.str_], value: ValueParams) -> Vector:
    """Return the expected margin of each lead less what its tier costs, in the currency of `value`.

    A won lead brings ``won * margin``. An SQL costs a sales touch, an MQL or a nurtured lead the
    nurture; a disqualified lead is not pursued and is worth nothing.
    """
    cost = np.select([tier == "sql", tier == "disqualified"], [value.sales_touch, 0.0], value.nurture)
    return np.where(tier == "disqualified", 0.0, probability * value.won * value.margin - cost)


def gain_of_call(p: Vector, value: ValueParams) -> Vector:
    """Return what calling gains over leaving a lead alone; for `p` as probability or outcome 0 or 1."""
    return np.asarray((1 - value.untouched) * value.won * value.margin * p - value.sales_touch)


def gain_of_nurture(p: Vector, value: ValueParams) -> Vector:
    """Return what nurturing gains over leaving a lead alone; zero where `nurtured` is not known."""
    if value.nurtured is None:
        return np.zeros(len(p))
    return np.asarray((value.nurtured - value.untouched) * value.won * value.margin * p - value.nurture)


def gain_of_pair(
    p: Vector, mql: npt.NDArray[np.bool_], sql: npt.NDArray[np.bool_], value: ValueParams
) -> Vector:
    """Return what each lead gains where those of `sql` are called and the others of `mql` nurtured."""
    return np.select([sql, mql], [gain_of_call(p, value), gain_of_nurture(p, value)], 0.0)


def call_threshold(value: ValueParams) -> float:
    """Return the probability from which calling a lead gains more than leaving it alone."""
    return value.sales_touch / ((1 - value.untouched) * value.won * value.margin)


def best_thresholds(value: ValueParams) -> dict[str, float]:
    """Return the probabilities from which a lead is best nurtured (``mql``) and best called (``sql``).

    Both are the same where nurture is never the best.
    """
    alone = call_threshold(value)
    if value.nurtured is None:
        return {"mql": alone, "sql": alone}
    margin = value.won * value.margin
    reach = (value.nurtured - value.untouched) * margin
    call = (value.sales_touch - value.nurture) / ((1 - value.nurtured) * margin)
    if value.nurture >= reach or value.nurture / reach >= call:
        return {"mql": alone, "sql": alone}
    return {"mql": value.nurture / reach, "sql": call}
