"""Checks of how much a field tells alone: what tells more than a lead can show was written later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.audit.findings import Check, Finding
from propensity.audit.records import Records
from propensity.audit.trees import Floats
from propensity.audit.wilson import wilson_bounds

FEW = 30
FOLDS = 3
MOST_LEADS = 20_000  # looked at; more would sharpen figures that need no sharpening
BINS = 32
PRIOR = 20.0  # leads at the base rate that a level is given beside its own

# A single honest field reaches an AUC of about .8 on the data this was tried on (docs/experiments.md).
ALMOST_SORTS = 0.87
SORTS_WELL = 0.78
LEVEL_LEADS = 50
LEVEL_DECIDES = 0.85

REMEDY = (
    "Find out when '{0}' is written. If that is after the lead was worked, leave it out (features.exclude) "
    "or bring its history (data.history); if it is known in time, overrule it under features.allow"
)


@dataclass(frozen=True)
class Sample:
    """Leads with an outcome, dealt to folds: attributes, whether they are won, and the fold of each."""

    leads: pd.DataFrame
    won: npt.NDArray[np.bool_]
    fold: npt.NDArray[np.int64]


def take_sample(records: Records) -> Sample | None:
    """Return at most `MOST_LEADS` leads with an outcome; None where there are too few of a kind."""
    kept, won = records.outcomes()
    rows = np.flatnonzero(kept)
    rng = np.random.default_rng(records.seed)
    if len(rows) > MOST_LEADS:
        rows = np.sort(rng.choice(rows, MOST_LEADS, replace=False))
    if min(won[rows].sum(), (~won[rows]).sum()) < FEW:
        return None
    group = records.leads[records.group].fillna(records.leads["lead_id"]).to_numpy()[rows]
    code = pd.factorize(group)[0]
    fold = rng.integers(FOLDS, size=code.max() + 1)[code]
    return Sample(records.leads.iloc[rows].reset_index(drop=True), won[rows], fold)


def look_at_single_fields(check: Check, records: Records) -> list[Finding]:
    """Rank the leads by each field alone."""
    sample, none = sample_or_why(check, records)
    if sample is None:
        return none
    found = []
    for column in records.judged:
        auc, low = auc_of(explained_alone(sample, column), sample.won)
        if low < SORTS_WELL:
            continue
        told = (
            f"'{column}' alone ranks won leads above others with an AUC of {auc:.3f} (n {len(sample.won):,})"
        )
        figures = {"auc": auc, "auc_low": low, "n": len(sample.won)}
        if low >= ALMOST_SORTS:
            message = f"{told}: it almost sorts them"
            found.append(
                check.issue(
                    message,
                    remedy=REMEDY.format(column),
                    subject=column,
                    severity=records.severity(column),
                    **figures,
                )
            )
        else:
            message = f"{told}; few fields known in time do so"
            found.append(check.tip(message, remedy=REMEDY.format(column), subject=column, **figures))
    return found or check.passed(
        f"none of {len(records.judged)} columns alone ranks won leads above others with an AUC of "
        f"{SORTS_WELL} or more (n {len(sample.won):,})",
        columns=len(records.judged),
        n=len(sample.won),
    )


def look_at_levels(check: Check, records: Records) -> list[Finding]:
    """Look for values that nearly decide: often records that staff made up after the fact."""
    sample, none = sample_or_why(check, records)
    if sample is None:
        return none
    base = float(sample.won.mean())
    if base > LEVEL_DECIDES - 0.2:
        return check.not_applicable(f"{base:.0%} of the leads are won, so a high rate is no wonder")
    found = []
    for column in [c for c in records.judged if records.attributes[c] == "text"]:
        grouped = pd.Series(sample.won).groupby(sample.leads[column].to_numpy())
        rates = pd.DataFrame({"n": grouped.size(), "wins": grouped.sum()}).query(f"n >= {LEVEL_LEADS}")
        low = wilson_bounds(rates["wins"].to_numpy(dtype=float), rates["n"].to_numpy(dtype=float))[0]
        for level, row in rates[(low >= LEVEL_DECIDES) & (rates["n"] < 0.5 * len(sample.won))].iterrows():
            rate = row["wins"] / row["n"]
            found.append(
                check.tip(
                    f"{rate:.0%} of the {int(row['n']):,} leads with '{column}' = '{level}' are won, "
                    f"{base:.0%} of all: such leads are often entered by staff once they are as good as won",
                    remedy=f"Ask who enters '{column}' = '{level}'. If it is sales, leave these leads out",
                    subject=column,
                    level=str(level),
                    rate=float(rate),
                    n=int(row["n"]),
                    base_rate=base,
                )
            )
    return found or check.passed(f"no value with {LEVEL_LEADS} leads or more nearly decides the outcome")


def explained_alone(sample: Sample, column: str) -> Floats:
    """Return each lead's log-odds from the win rate of its value of one column, out of fold.

    Numbers are cut at quantiles; missing is a value. `PRIOR` leads draw a value's rate to the base rate.
    """
    values = sample.leads[column]
    code = pd.factorize(_binned(values), use_na_sentinel=False)[0]
    margin = np.zeros(len(code))
    for fold in range(FOLDS):
        fitted, out = sample.fold != fold, sample.fold == fold
        if not fitted.any():
            continue
        base = (sample.won[fitted].sum() + 0.5) / (fitted.sum() + 1)
        n = np.bincount(code[fitted], minlength=code.max() + 1)
        wins = np.bincount(code[fitted], sample.won[fitted], minlength=code.max() + 1)
        rate = (wins + PRIOR * base) / (n + PRIOR)
        margin[out] = (np.log(rate) - np.log1p(-rate))[code[out]]
    return margin


def _binned(values: pd.Series) -> npt.NDArray[np.object_]:
    if not pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(dtype=object)
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, BINS + 1))) if values.notna().any() else [0.0]
    places = np.searchsorted(edges, values.to_numpy(dtype=float), side="left").astype(object)
    places[values.isna().to_numpy()] = None
    return places


def auc_of(margin: Floats, won: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return the AUC and its lower 97.5% bound.

    References
    ----------
    Hanley and McNeil 1982, doi 10.1148/radiology.143.1.7063747.
    """
    rank = pd.Series(margin).rank().to_numpy()
    n_won, n_not = int(won.sum()), int((~won).sum())
    auc = float((rank[won].sum() - n_won * (n_won + 1) / 2) / (n_won * n_not))
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (auc * (1 - auc) + (n_won - 1) * (q1 - auc**2) + (n_not - 1) * (q2 - auc**2)) / (n_won * n_not)
    return auc, auc - 1.96 * float(np.sqrt(max(variance, 0.0)))


def sample_or_why(check: Check, records: Records) -> tuple[Sample | None, list[Finding]]:
    if not records.judged:
        return None, check.not_applicable("the leads have no attributes")
    sample = take_sample(records)
    if sample is None:
        return None, check.skipped(f"fewer than {FEW} leads are won, or fewer than {FEW} are not")
    return sample, []


CHECKS = (
    Check("PRP301", "sorts_alone", "A field that alone almost sorts the outcome", look_at_single_fields),
    Check("PRP302", "telling_level", "A value that nearly decides", look_at_levels),
)
