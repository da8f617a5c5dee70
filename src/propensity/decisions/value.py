"""What a lead is worth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from propensity.params import ValueParams


def expected_value(
    probability: npt.NDArray[np.float64], tier: npt.NDArray[np.str_], value: ValueParams
) -> npt.NDArray[np.float64]:
    """Return the expected margin of each lead less what its tier costs, in the currency of `value`.

    A won lead brings ``won * margin``. An SQL costs a sales touch, an MQL or a nurtured lead the
    nurture; a disqualified lead is not pursued and is worth nothing.
    """
    cost = np.select([tier == "sql", tier == "disqualified"], [value.sales_touch, 0.0], value.nurture)
    return np.where(tier == "disqualified", 0.0, probability * value.won * value.margin - cost)
