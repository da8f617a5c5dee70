"""What a lead is worth, and what acting on it gains.

A won lead brings the margin ``m = won * margin``; a score takes the lead's own expected amount (`amounts`)
for ``won``, the cut-offs one amount for all leads. Of the leads that are won when sales works them, a
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

TINY = float(np.finfo(np.float64).tiny)


def expected_value(
    probability: Vector, amount: Vector, tier: npt.NDArray[np.str_], value: ValueParams
) -> Vector:
    """Return the expected margin of each lead less what its tier costs, in the currency of `value`.

    A disqualified lead is not pursued and is worth nothing.

    Parameters
    ----------
    probability : array of shape (n_leads,)
        0 to 1.
    amount : array of shape (n_leads,)
        Expected amount of the lead if it is won.
    tier : array of shape (n_leads,)
    value : ValueParams
    """
    worth = probability * amount * value.margin - touch_costs(tier, value)
    return np.asarray(np.where(tier == "disqualified", 0.0, worth))


def value_interval(
    probability: tuple[Vector, Vector, Vector],
    amount: tuple[Vector, Vector, Vector],
    tier: npt.NDArray[np.str_],
    value: ValueParams,
) -> tuple[Vector, Vector]:
    """Return the ends of the 95% interval of `expected_value`.

    Probability and amount multiply, so their logarithms add; the one is fitted to who is won and the other
    to what winners bring, and their errors are taken to be independent. The ends of the sum lie as far from
    it as the root of the squared distances of both ends from their middles (MOVER: Zou and Donner 2008,
    doi:10.1002/sim.3095), which keeps both intervals as lopsided as they are. Margin and costs are taken as
    given. NaN where the probability has no interval; 0 for a disqualified lead.

    Parameters
    ----------
    probability, amount : tuple of three arrays of shape (n_leads,)
        The middle and the ends of its 95% interval, 0 or more.
    tier : array of shape (n_leads,)
    value : ValueParams
    """
    logs = [[np.log(np.maximum(x, TINY)) for x in of] for of in (probability, amount)]
    low, high = (np.hypot(*(of[end] - of[0] for of in logs)) for end in (1, 2))
    middle = probability[0] * amount[0]
    ones = np.ones(len(middle))
    ends = [expected_value(middle * np.exp(d), ones, tier, value) for d in (-low, high)]
    return ends[0], ends[1]


def value_single(
    probability: tuple[float, float, float],
    amount: tuple[float, float, float],
    tier: str,
    value: ValueParams,
) -> tuple[float, float, float]:
    """Return `expected_value` and the ends of `value_interval` of a single lead, to the bit."""
    if tier == "disqualified":
        return 0.0, 0.0, 0.0
    p, p_low, p_high, a, a_low, a_high = np.log([max(x, TINY) for x in (*probability, *amount)]).tolist()
    down, up = np.hypot((p_low - p, p_high - p), (a_low - a, a_high - a)).tolist()
    lower, higher = np.exp((-down, up)).tolist()
    worth = probability[0] * amount[0]
    cost = float(value.sales_touch if tier == "sql" else value.nurture)
    ends = worth * lower * value.margin - cost, worth * higher * value.margin - cost
    return worth * value.margin - cost, *ends


def touch_costs(tier: npt.NDArray[np.str_], value: ValueParams) -> Vector:
    """Return what a lead of each tier costs: an SQL a sales touch, an MQL or a nurtured lead the nurture."""
    others = np.where(tier == "disqualified", 0.0, float(value.nurture))
    return np.where(tier == "sql", float(value.sales_touch), others)


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
