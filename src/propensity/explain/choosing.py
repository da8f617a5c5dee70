"""Compiled loops that group points by family and choose the weightiest, as `families` does in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np

from propensity.model.kernels import compiled


@compiled
def group_rows(values: Any, starts: Any, members: Any, spokesman: Any, sums: Any) -> None:
    """Write each family's sum and weightiest member, the first of equals.

    ``values`` is (features, rows), ``spokesman`` and ``sums`` are (families, rows); a family's members are
    those between its start and the next one.
    """
    for family in range(len(starts) - 1):
        first, stop = starts[family], starts[family + 1]
        own, place, total = values[members[first]], spokesman[family], sums[family]
        for r in range(values.shape[1]):
            total[r] = 0.0 + own[r]
            place[r] = members[first]
        for m in range(first + 1, stop):
            own = values[members[m]]
            for r in range(values.shape[1]):
                total[r] += own[r]
                if abs(own[r]) > abs(values[place[r], r]):
                    place[r] = members[m]


@compiled
def join_activity(sums: Any, whole: Any, types: Any) -> None:
    """Add, in place, a qualifier's activity to the weightiest event type of the same sign, or the reverse."""
    for r in range(sums.shape[1]):
        strongest = types[0]
        for t in types:
            if abs(sums[t, r]) > abs(sums[strongest, r]):
                strongest = t
        activity, event_type = sums[whole, r], sums[strongest, r]
        if activity * event_type > 0:
            by_type = abs(event_type) >= abs(activity)
            sums[strongest, r] = event_type + activity if by_type else 0.0
            sums[whole, r] = 0.0 if by_type else event_type + activity


@compiled
def order_rows(sums: Any, order: Any) -> None:
    """Write each row's families with the largest absolute sums, the weightiest first, the first of equals.

    ``sums`` is (families, rows), ``order`` (places, rows).
    """
    most = order.shape[0]
    size = np.empty(most)
    for r in range(sums.shape[1]):
        kept = 0
        for family in range(sums.shape[0]):
            weight = abs(sums[family, r])
            if kept == most and weight <= size[most - 1]:
                continue
            place = kept if kept < most else most - 1
            while place > 0 and size[place - 1] < weight:
                size[place] = size[place - 1]
                order[place, r] = order[place - 1, r]
                place -= 1
            size[place] = weight
            order[place, r] = family
            kept = min(kept + 1, most)
