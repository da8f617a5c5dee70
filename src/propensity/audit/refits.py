"""Checks of how much fields tell together: a score that is too good has seen the outcome.

All figures are out of fold: trees are judged on leads that they were not fitted on. The unit is the share of
the outcome's uncertainty that is explained, ``1 - log-loss / log-loss of the base rate`` (McFadden's
pseudo-R2), which is 0 for a guess and 1 for an oracle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.audit.findings import Check, Finding
from propensity.audit.records import Records
from propensity.audit.strength import FEW, REMEDY, Sample, auc_of, sample_or_why
from propensity.audit.trees import Floats, explained_by_trees, strongest

# What one field explains that all others together do not, as a share of the outcome's uncertainty. The
# strongest honest field of the data this was tried on gives .13, the weakest leak .28 (docs/experiments.md).
TOO_MUCH_ALONE = 0.2
MUCH_ALONE = 0.1
# A score that explains this much of the outcome, or ranks so well, has seen it.
TOO_GOOD_AUC = 0.94
TOO_GOOD_SHARE = 0.6


def look_at_refits(check: Check, records: Records) -> list[Finding]:
    """Fit trees on all fields, and again without each of the strongest.

    What is found is left out and the rest looked at again, since one leak hides another.
    """
    sample, none = sample_or_why(check, records)
    if sample is None:
        return none
    columns, found = list(records.judged), []
    while columns:
        new = _refit_without_each(check, records, sample, columns)
        found += new
        refused = {f.subject for f in new if f.result == "issue"}
        columns = [c for c in columns if c not in refused]
        if not refused:
            break
    kept = {f.subject: f for f in found}  # the last word on a column
    return list(kept.values()) or check.passed(
        f"without any one of {len(records.judged)} columns, trees on the others explain nearly as much "
        f"(n {len(sample.won):,})",
        columns=len(records.judged),
        n=len(sample.won),
    )


def look_at_the_whole(check: Check, records: Records) -> list[Finding]:
    """Fit trees on all fields together, and name those that make the score too good."""
    sample, none = sample_or_why(check, records)
    if sample is None:
        return none
    columns, culprits = list(records.judged), []
    first = explained_by_trees(sample.leads[columns], sample.won, sample.fold, seed=records.seed)
    auc, share = auc_of(first.margin, sample.won)[0], first.explained
    left = first
    while columns and _too_good(left.margin, left.explained, sample.won):
        worst = strongest(left, columns)[0]
        columns.remove(worst)
        culprits.append(worst)
        left = explained_by_trees(sample.leads[columns], sample.won, sample.fold, seed=records.seed)
    figures = {"auc": auc, "explained": share, "n": len(sample.won)}
    if not culprits:
        return check.passed(
            f"trees on {len(columns)} columns rank the leads with an AUC of {auc:.3f} and explain "
            f"{share:.0%} of the outcome (n {len(sample.won):,})",
            **figures,
        )
    after = auc_of(left.margin, sample.won)[0]
    return [
        check.issue(
            f"trees on the columns rank the leads with an AUC of {auc:.3f} and explain {share:.0%} of the "
            f"outcome, which is too good; '{column}' is one of {len(culprits)} that make it so: without "
            f"{', '.join(repr(c) for c in culprits)} the AUC is {after:.3f} (n {len(sample.won):,})",
            remedy=REMEDY.format(column),
            subject=column,
            severity=records.severity(column),
            **figures,
            auc_without=after,
            culprits=culprits,
        )
        for column in culprits
    ]


def look_at_the_features(check: Check, records: Records) -> list[Finding]:
    """Fit trees on the features of the train part, look at the stop part, and name what is too good."""
    parts = {p: records.table[records.table["split"] == p] for p in ("train", "stop")}
    names = [c for c in records.table.columns if c not in ("lead_id", "as_of", "split", "won", "weight")]
    together = pd.concat(parts.values(), ignore_index=True)
    won = together["won"].to_numpy(dtype=bool)
    held_out = np.repeat([1, 0], [len(parts["train"]), len(parts["stop"])])
    if not names or min(won[held_out == 0].sum(), (~won)[held_out == 0].sum()) < FEW:
        return check.skipped(f"the stop part holds fewer than {FEW} won or not-won snapshots")
    first = explained_by_trees(together[names], won, held_out, seed=records.seed, folds=(0,))
    seen = held_out == 0
    auc = auc_of(first.margin[seen], won[seen])[0]
    figures = {"auc": auc, "explained": first.explained, "n": int(seen.sum())}
    if not _too_good(first.margin[seen], first.explained, won[seen]):
        return check.passed(
            f"trees on {len(names)} features of the train part rank the stop part with an AUC of {auc:.3f} "
            f"(n {int(seen.sum()):,})",
            **figures,
        )
    leading = strongest(first, names)[:3]
    return [
        check.issue(
            f"trees on the features of the train part rank the stop part with an AUC of {auc:.3f} "
            f"(n {int(seen.sum()):,}), which is too good; the strongest are {', '.join(map(repr, leading))}",
            remedy="Find out when what is behind them is written; take it out under features.exclude",
            subject=leading[0],
            strongest=leading,
            auc=auc,
            explained=first.explained,
            n=int(seen.sum()),
        )
    ]


def without(records: Records, refused: set[str]) -> Records:
    """Return the records without the attributes that other checks refuse."""
    return replace(records, attributes={c: t for c, t in records.attributes.items() if c not in refused})


def _refit_without_each(
    check: Check, records: Records, sample: Sample, columns: Sequence[str]
) -> list[Finding]:
    seed = records.seed
    whole = explained_by_trees(sample.leads[list(columns)], sample.won, sample.fold, seed=seed)
    found = []
    for column in strongest(whole, columns)[:4]:
        rest = [c for c in columns if c != column]
        share = (
            explained_by_trees(sample.leads[rest], sample.won, sample.fold, seed=seed).explained
            if rest
            else 0.0
        )
        lost = whole.explained - max(share, 0.0)
        if lost < MUCH_ALONE:
            continue
        told = (
            f"trees on all columns explain {whole.explained:.0%} of the outcome, without '{column}' "
            f"{max(share, 0.0):.0%} (n {len(sample.won):,})"
        )
        figures = {
            "explained": whole.explained,
            "explained_without": share,
            "lost": lost,
            "n": len(sample.won),
        }
        if lost >= TOO_MUCH_ALONE:
            found.append(
                check.issue(
                    f"{told}: more than one field known in time tells",
                    remedy=REMEDY.format(column),
                    subject=column,
                    severity=records.severity(column),
                    **figures,
                )
            )
        else:
            found.append(
                check.tip(
                    f"{told}: much for one field",
                    remedy=REMEDY.format(column),
                    subject=column,
                    **figures,
                )
            )
    return found


def _too_good(margin: Floats, explained: float, won: npt.NDArray[np.bool_]) -> bool:
    return auc_of(margin, won)[1] >= TOO_GOOD_AUC or explained >= TOO_GOOD_SHARE


# These look at what the other checks leave: one leak would hide the next.
CHECKS = (
    Check("PRP303", "lost_without", "A field that trees lose too much without", look_at_refits),
    Check("PRP304", "too_good", "Fields that together make a score too good", look_at_the_whole),
    Check("PRP305", "features_too_good", "Features that make a score too good", look_at_the_features),
)
