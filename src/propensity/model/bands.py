"""How far a calibrated probability may be off because the calibrator was fitted to so many outcomes.

A band is pointwise: of 100 repetitions of the calibrate part, 95 would give an interval that holds the
share won among leads with that probability. It says nothing of the model that made the margins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from propensity.errors import BundleError
from propensity.model.estimators import Vector

NAMES = ("log_odds", "below", "above")


@dataclass(frozen=True)
class Band:
    """How far below and above the calibrated log-odds the interval reaches.

    Attributes
    ----------
    log_odds : array of shape (n_knots,)
        Calibrated, ascending; between them distances are joined by straight lines, beyond them held.
    below, above : arrays of shape (n_knots,)
        Distances in log-odds, 0 or more.
    """

    log_odds: Vector
    below: Vector
    above: Vector

    def around(self, log_odds: Vector) -> tuple[Vector, Vector]:
        """Return the ends of the intervals around calibrated log-odds."""
        low = log_odds - np.interp(log_odds, self.log_odds, self.below)
        return low, log_odds + np.interp(log_odds, self.log_odds, self.above)

    def shifted(self, shift: float) -> Band:
        """Return the band of a calibrator that adds `shift` to its log-odds."""
        return replace(self, log_odds=self.log_odds + shift)


def band_to_json(band: Band | None) -> dict[str, Any]:
    """Return the numbers under ``band``; nothing for a calibrator without one."""
    return {} if band is None else {"band": {name: getattr(band, name).tolist() for name in NAMES}}


def band_from_json(content: Mapping[str, Any]) -> Band | None:
    """Read what `band_to_json` returned.

    Raises
    ------
    BundleError
        Numbers are missing or of unequal length, the log-odds do not ascend, or a distance is negative.
    """
    if content.get("band") is None:
        return None
    found = [np.asarray(content["band"].get(name, []), dtype=np.float64) for name in NAMES]
    knots, *distances = found
    sound = len(knots) > 0 and all(x.shape == knots.shape and np.isfinite(x).all() for x in found)
    if not sound or (np.diff(knots) <= 0).any() or any((x < 0).any() for x in distances):
        raise BundleError("calibrator.json: the band is not ascending log-odds with distances from 0 up")
    return Band(*found)
