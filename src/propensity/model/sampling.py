"""Fitting on a sample: which rows, and the intercept that the sample moves.

Won rows are rare and tell most, so lost rows are left out first. A sample that keeps a share `p` of the won
and a share `q` of the lost rows, whatever their features, multiplies the odds of winning by `p / q` for every
row alike. A model of the log-odds that is fitted on it is therefore off by ``log(p / q)``, and by nothing
else (Prentice and Pyke 1979, doi:10.1093/biomet/66.3.403; King and Zeng 2001,
doi:10.1093/oxfordjournals.pan.a004868). Weights in place of the correction would be as right on average and
noisier: each lost row that stays would count for many.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from propensity.model.estimators import Blend, Boosted, Estimator, Logistic, make_boosted
from propensity.model.segments import Segmented


@dataclass(frozen=True)
class Sampling:
    """Which rows are fitted on.

    Attributes
    ----------
    kept : array of bool, shape (n_rows,)
    won_share, lost_share : float
        The shares of the won and of the lost rows that are kept, over 0 and at most 1.
    rows, of : int
        How many are kept, of how many.
    """

    kept: npt.NDArray[np.bool_]
    won_share: float
    lost_share: float
    rows: int
    of: int

    @property
    def shift(self) -> float:
        """What has to be added to the margin of a model that is fitted on the sample; 0 without sampling."""
        return float(np.log(self.lost_share / self.won_share))


def sample_rows(
    fitted: npt.NDArray[np.bool_], won: npt.NDArray[np.bool_], *, most: int | None, seed: int
) -> Sampling:
    """Choose at most `most` of the rows that would be fitted on: all won ones, or half of `most`.

    Parameters
    ----------
    fitted : array of bool, shape (n_rows,)
        The rows of the parts that are fitted on.
    won : array of bool, shape (n_rows,)
    most : int or None
        None: all.
    seed : int

    Examples
    --------
    >>> won = np.arange(100) < 10
    >>> found = sample_rows(np.ones(100, dtype=bool), won, most=40, seed=7)
    >>> int(found.kept.sum()), found.won_share, round(found.lost_share, 3), round(found.shift, 3)
    (40, 1.0, 0.333, -1.099)
    """
    of, n_won = int(fitted.sum()), int((fitted & won).sum())
    if most is None or of <= most:
        return Sampling(fitted, 1.0, 1.0, of, of)
    n_lost = of - n_won
    keep_won = min(n_won, max(most // 2, most - n_lost))
    keep_lost = most - keep_won
    rng = np.random.default_rng(seed)
    kept = np.zeros(len(won), dtype=bool)
    for rows, n in ((fitted & won, keep_won), (fitted & ~won, keep_lost)):
        kept[rng.choice(np.flatnonzero(rows), size=n, replace=False)] = True
    return Sampling(kept, _share(keep_won, n_won), _share(keep_lost, n_lost), most, of)


def shift_margin(model: Estimator, shift: float) -> Estimator:
    """Return a model whose margins are higher by `shift`; its contributions are as they were."""
    if shift == 0:
        return model
    if isinstance(model, Segmented):
        return replace(model, pooled=shift_margin(model.pooled, shift))
    if isinstance(model, Blend):
        return Blend(_shift_curves(model.logistic, shift), _shift_trees(model.boosted, shift), model.weight)
    return _shift_trees(model, shift) if isinstance(model, Boosted) else _shift_curves(model, shift)


def sampling_to_json(sampling: Sampling) -> dict[str, Any]:
    """Return what ``training.json`` tells of a sample."""
    return {name: getattr(sampling, name) for name in ("rows", "of", "won_share", "lost_share", "shift")}


def _share(kept: int, of: int) -> float:
    return kept / of if of else 1.0


def _shift_curves(model: Any, shift: float) -> Logistic:
    assert isinstance(model, Logistic)
    return replace(model, base=model.base + shift)


def _shift_trees(model: Boosted, shift: float) -> Boosted:
    """Add the shift to each leaf of the first tree of each booster; a row falls into one of them."""
    texts = []
    for original in model.boosters:
        text = original.model_to_string()
        booster = lgb.Booster(model_str=text)
        (leaves,) = re.findall(r"^num_leaves=(\d+)$", text, re.MULTILINE)[:1]
        for leaf in range(int(leaves)):
            booster.set_leaf_output(0, leaf, booster.get_leaf_output(0, leaf) + shift)
        texts.append(booster.model_to_string())
    n_features = model.boosters[0].num_feature() - len(model.statistics)
    return make_boosted(texts, n_features, threads=model.threads, statistics=model.statistics)
