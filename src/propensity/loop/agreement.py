"""How far sales agrees with the model, by what was judged and by whom, and reviewers with each other."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.evaluation.intervals import wilson_interval

ALL, UNNAMED, NO_REASON = "all", "unnamed", "none given"
TIERS = ("sql", "mql", "nurture", "disqualified")
LONGEST_NAME = 80
AGREEMENT_COLUMNS = ["by", "name", "verdicts", "leads", "agree", "share", "low", "high"]
PAIR_COLUMNS = ["reviewer", "other", "snapshots", "same", "share", "low", "high", "kappa"]


def code_reviewers(verdicts: pd.DataFrame) -> dict[str, str]:
    """Return a code such as ``R1`` for each name in ``given_by``, in the order of their first verdicts."""
    named = verdicts[verdicts["given_by"].notna()].sort_values(["given_at", "given_by"], kind="stable")
    return {name: f"R{place}" for place, name in enumerate(named["given_by"].drop_duplicates(), start=1)}


def count_agreement(judged: pd.DataFrame) -> pd.DataFrame:
    """Count verdicts by tier, qualifier and feature of the first reasons, reviewer and reason given.

    Parameters
    ----------
    judged : DataFrame
        One row a verdict: ``lead_id, verdict, reason, reviewer`` and what was shown (``tier, features,
        qualifiers``), null where no score was found; such verdicts count under reviewers and reasons only.

    Returns
    -------
    DataFrame
        `AGREEMENT_COLUMNS`: ``share`` of verdicts that agree, 0 to 1, with Wilson's 95% interval for their
        effective number, since verdicts on one lead are not independent. Tiers in their order, others by
        their number.
    """
    table = judged.assign(reason=judged["reason"].map(plain).fillna(NO_REASON))
    shown = table[table["tier"].notna()]
    parts = [_count(ALL, table.assign(name=ALL))]
    parts.append(_count("tier", shown.assign(name=shown["tier"])))
    for by, column in (("qualifier", "qualifiers"), ("feature", "features")):
        each = shown.assign(name=shown[column]).explode("name").dropna(subset="name")
        parts.append(_count(by, each))
    parts += [_count(by, table.assign(name=table[by])) for by in ("reviewer", "reason")]
    return pd.DataFrame([row for rows in parts for row in rows], columns=AGREEMENT_COLUMNS)


def compare_reviewers(judged: pd.DataFrame) -> pd.DataFrame:
    """Compare the verdicts of each two reviewers on the snapshots that both judged.

    Parameters
    ----------
    judged : DataFrame
        ``lead_id, as_of, verdict, reviewer``, one verdict a reviewer and snapshot.

    Returns
    -------
    DataFrame
        `PAIR_COLUMNS`: the ``share`` of ``snapshots`` with the same verdict, with Wilson's interval, and
        Cohen's ``kappa`` (1960, doi 10.1177/001316446002000104), from -1 to 1 with 0 for chance; null where
        both gave one and the same verdict throughout.
    """
    named = judged[judged["reviewer"] != UNNAMED]
    names = sorted(named["reviewer"].unique(), key=lambda code: int(code[1:]))
    rows = []
    for one, other in combinations(names, 2):
        first, second = (named[named["reviewer"] == name] for name in (one, other))
        both = first.merge(second, on=["lead_id", "as_of"], suffixes=("", "_other"))
        if len(both):
            rows.append(_compare(one, other, both))
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def plain(value: object) -> str | None:
    """Return a text of the data on one line, without what steers a terminal, or None where there is none."""
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return None
    shown = "".join(letter if letter.isprintable() else " " for letter in str(value))
    return shown if len(shown) <= LONGEST_NAME else f"{shown[: LONGEST_NAME - 1]}…"


def share_row(hits: npt.NDArray[np.bool_], leads: pd.Series[str]) -> dict[str, float | None]:
    """Return the share of `hits` with Wilson's interval, whose groups are leads; null for none."""
    if len(hits) == 0:
        return {"share": None, "low": None, "high": None}
    low, high = wilson_interval(hits, pd.factorize(leads)[0])
    return {"share": float(hits.mean()), "low": low, "high": high}


def _count(by: str, rows: pd.DataFrame) -> list[dict[str, object]]:
    counted: list[dict[str, object]] = []
    for name, of in rows.groupby("name", sort=True):
        agree = (of["verdict"] == "agree").to_numpy(dtype=bool)
        sizes = {"verdicts": len(of), "leads": of["lead_id"].nunique(), "agree": int(agree.sum())}
        counted.append({"by": by, "name": str(name), **sizes, **share_row(agree, of["lead_id"])})
    if by == "tier":
        return sorted(counted, key=lambda row: TIERS.index(str(row["name"])))
    return sorted(counted, key=lambda row: (-int(str(row["verdicts"])), str(row["name"])))


def _compare(one: str, other: str, both: pd.DataFrame) -> dict[str, object]:
    first, second = ((both[c] == "agree").to_numpy(dtype=bool) for c in ("verdict", "verdict_other"))
    same = first == second
    chance = first.mean() * second.mean() + (1 - first.mean()) * (1 - second.mean())
    kappa = None if chance == 1 else float((same.mean() - chance) / (1 - chance))
    sizes = {"snapshots": len(both), "same": int(same.sum())}
    return {"reviewer": one, "other": other, **sizes, **share_row(same, both["lead_id"]), "kappa": kappa}
