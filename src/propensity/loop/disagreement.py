"""Where sales disagrees, who was right once the outcomes are in, and what follows: a rule, a column.

A lead that sales gave up after disagreeing is likelier lost, so outcomes lean towards its verdicts; and most
leads are lost, so a verdict that a lead will not be won is mostly right. What sales saw beyond the model is
therefore the share of right disagreements less the share ``expected`` of verdicts that tell nothing: one less
the model's probability for a lead over a cut-off, the probability itself for one under both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy import stats

from propensity.loop.agreement import TIERS, plain, share_row
from propensity.params import DisqualifyRule

LEVEL = 0.05  # false-discovery rate under which a difference is named
FEWEST = 5  # leads: on either side of a comparison, behind a candidate, and before outcomes are asked
OVER = ("sql", "mql")  # tiers of which a disagreement says: will not be won
CONTRAST_COLUMNS = [
    *("kind", "subject", "value", "leads", "disagree", "share", "low", "high"),
    *("leads_others", "share_others", "p", "q", "named"),
]
OUTCOME_COLUMNS = ["tier", "verdict", "verdicts", "leads", "won", "share", "low", "high", "expected"]
RIGHT_COLUMNS = ["tier", "verdicts", "leads", "right", "share", "low", "high", "expected", "beyond"]
CANDIDATE_COLUMNS = [
    *("kind", "subject", "value", "leads", "decided", "right"),
    *("share", "low", "high", "expected", "known", "suggestion"),
]


def find_disagreement(judged: pd.DataFrame, levels: pd.DataFrame) -> pd.DataFrame:
    """Compare the share of leads disagreed on, with and without each feature and level.

    A lead counts once, by its latest judged snapshot, as disagreed on if half of the verdicts or more say so.

    Parameters
    ----------
    judged : DataFrame
        ``lead_id, as_of, verdict, features``.
    levels : DataFrame
        Text columns of leads, indexed by ``lead_id``; missing values are no level.

    Returns
    -------
    DataFrame
        `CONTRAST_COLUMNS`, one row a feature (among the first reasons) or level with `FEWEST` leads on
        either side: Fisher's exact ``p``, ``q`` by Benjamini and Hochberg (1995) over all rows, ``named``
        under `LEVEL`. The surest first.
    """
    leads = _latest(judged)
    things = [(thing, _contrast(leads, has)) for *thing, has in _things(leads, levels)]
    rows = [
        {"kind": kind, "subject": subject, "value": value, **found}
        for (kind, subject, value), found in things
        if found
    ]
    table = pd.DataFrame(rows, columns=CONTRAST_COLUMNS)
    if table.empty:
        return table.astype({"named": "bool"})
    table["q"] = stats.false_discovery_control(table["p"].to_numpy(np.float64))
    table["named"] = table["q"] < LEVEL
    return table.sort_values(["p", "kind", "subject", "value"], ignore_index=True)


def decided(judged: pd.DataFrame) -> pd.DataFrame:
    """Return the verdicts whose outcome is final and was not known when they were given.

    Parameters
    ----------
    judged : DataFrame
        ``tier, given_at`` and, of the label, ``won, mature, known``; the last is null where closings have no
        date: then nothing tells, and all count. Verdicts of which no score was found are left out, and so
        are those on disqualified leads, whom nobody pursues.
    """
    final = judged["mature"].fillna(False).astype(bool) & judged["tier"].isin(TIERS[:3])
    return judged[final & ~(judged["given_at"] >= judged["known"])].astype({"won": "bool"})


def count_outcomes(judged: pd.DataFrame) -> pd.DataFrame:
    """Return how leads ended by tier and verdict, beside what the model expected.

    Returns
    -------
    DataFrame
        `OUTCOME_COLUMNS`: of the `decided` verdicts the ``share`` won with its interval, and ``expected``,
        the mean probability that was shown.
    """
    rows = []
    known = decided(judged)
    for tier in TIERS[:3]:
        for verdict in ("agree", "disagree"):
            of = known[(known["tier"] == tier) & (known["verdict"] == verdict)]
            won = of["won"].to_numpy(dtype=bool)
            sizes = {"verdicts": len(of), "leads": of["lead_id"].nunique(), "won": int(won.sum())}
            expected = float(of["probability"].mean()) if len(of) else None
            shares = share_row(won, of["lead_id"])
            rows.append({"tier": tier, "verdict": verdict, **sizes, **shares, "expected": expected})
    return pd.DataFrame(rows, columns=OUTCOME_COLUMNS)


def count_right(judged: pd.DataFrame) -> pd.DataFrame:
    """Return in how many of its disagreements sales was right, by tier and in all.

    A disagreement on an ``sql`` or ``mql`` says that the lead will not be won, one on a ``nurture`` that it
    is better than that, and so that it will.

    Returns
    -------
    DataFrame
        `RIGHT_COLUMNS`; ``expected`` is the share that verdicts which tell nothing would have, and
        ``beyond`` says that the interval lies above it.
    """
    known = decided(judged)
    of_tiers = [(tier, known[known["tier"] == tier]) for tier in TIERS[:3]]
    rows = [{"tier": tier, **_right(of)} for tier, of in [("all", known), *of_tiers]]
    return pd.DataFrame(rows, columns=RIGHT_COLUMNS)


def propose(judged: pd.DataFrame, levels: pd.DataFrame, contrasts: pd.DataFrame) -> pd.DataFrame:
    """Return the rules and columns that the disagreements suggest; nothing is applied.

    A level that sales disagrees on more than on others suggests a rule under ``disqualify``, by its leads
    over a cut-off; a reason that sales gives often, a column that says it. Of either there are disagreements
    on `FEWEST` leads, and sales was right in more of them than `expected`, or fewer than `FEWEST` have ended.

    Parameters
    ----------
    judged, levels : DataFrame
        As for `find_disagreement`, with the labels.
    contrasts : DataFrame
        As `find_disagreement`.

    Returns
    -------
    DataFrame
        `CANDIDATE_COLUMNS`; ``known`` says that enough outcomes are in.
    """
    against = judged[judged["verdict"] == "disagree"]
    over = against[against["tier"].isin(OVER)]
    rows = []
    for row in contrasts[contrasts["named"] & (contrasts["kind"] == "level")].to_dict("records"):
        if row["share"] > row["share_others"]:
            of = over[over["lead_id"].map(levels[row["subject"]]) == row["value"]]
            rows += _candidate("rule", row["subject"], row["value"], of)
    given = against.assign(reason=against["reason"].map(plain)).dropna(subset="reason")
    for reason, of in given.groupby("reason"):
        rows += _candidate("column", "reason", str(reason), of)
    table = pd.DataFrame(rows, columns=CANDIDATE_COLUMNS)
    order = ["kind", "leads", "subject", "value"]
    return table.sort_values(order, ascending=[False, False, True, True], ignore_index=True)


def _latest(judged: pd.DataFrame) -> pd.DataFrame:
    """Return one row a lead: the first reasons' features, and whether it was disagreed on."""
    last = judged.groupby("lead_id")["as_of"].transform("max")
    rows = judged[(judged["as_of"] == last) | last.isna()]
    against = (rows["verdict"] == "disagree").groupby(rows["lead_id"]).mean() >= 0.5
    shown = rows.dropna(subset="features").drop_duplicates("lead_id").set_index("lead_id")["features"]
    return against.to_frame("disagree").join(shown)


def _things(leads: pd.DataFrame, levels: pd.DataFrame) -> list[tuple[str, str, str, pd.Series[bool]]]:
    """List features and levels with the leads that have them; null where that is not known."""
    shown = leads["features"].dropna()
    names = sorted({name for features in shown for name in features})
    found = [
        ("feature", name, "", shown.map(lambda features, name=name: name in features).reindex(leads.index))
        for name in names
    ]
    for column in levels:
        values = levels[column].reindex(leads.index)
        for value in sorted(values.dropna().unique()):
            found.append(("level", str(column), str(value), (values == value).fillna(False)))
    return found


def _contrast(leads: pd.DataFrame, has: pd.Series[Any]) -> dict[str, Any] | None:
    known = has.notna().to_numpy()
    with_it = has[known].to_numpy(dtype=bool)
    against = leads["disagree"].to_numpy(dtype=bool)[known]
    n, others = int(with_it.sum()), int((~with_it).sum())
    if min(n, others) < FEWEST:
        return None
    hits, rest = int(against[with_it].sum()), int(against[~with_it].sum())
    p = float(stats.fisher_exact([[hits, n - hits], [rest, others - rest]]).pvalue)
    shares = share_row(against[with_it], leads.index[known][with_it].to_series())
    return {
        "leads": n,
        "disagree": hits,
        **shares,
        "leads_others": others,
        "share_others": rest / others,
        "p": p,
    }


def _right(known: pd.DataFrame) -> dict[str, Any]:
    of = known[known["verdict"] == "disagree"]
    over = of["tier"].isin(OVER).to_numpy()
    right = np.where(over, ~of["won"].to_numpy(dtype=bool), of["won"].to_numpy(dtype=bool))
    chance = np.where(over, 1 - of["probability"], of["probability"])
    expected = float(chance.mean()) if len(of) else None
    shares = share_row(right, of["lead_id"])
    beyond = expected is not None and shares["low"] is not None and shares["low"] > expected
    sizes = {"verdicts": len(of), "leads": of["lead_id"].nunique(), "right": int(right.sum())}
    return {**sizes, **shares, "expected": expected, "beyond": beyond}


def _candidate(kind: str, subject: str, value: str, against: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a candidate as the only row, or none where too little, or the outcomes, speak for it."""
    found = _right(decided(against))
    leads, ended = against["lead_id"].nunique(), found["leads"]
    known = ended >= FEWEST
    if leads < FEWEST or (known and not found["beyond"]):
        return []
    shares = {name: found[name] for name in ("right", "share", "low", "high", "expected")}
    suggestion = _rule(subject, value, against) if kind == "rule" else f"a column that says '{value}'"
    row = {"kind": kind, "subject": subject, "value": value, "leads": leads, "decided": found["verdicts"]}
    return [{**row, **shares, "known": known, "suggestion": suggestion}]


def _rule(column: str, value: str, against: pd.DataFrame) -> str:
    """Return a rule as a line of YAML that params accept, whatever the value holds."""
    reasons = against["reason"].map(plain).dropna()
    reason = "sales disagrees" if reasons.empty else str(reasons.mode().iloc[0])
    rule = DisqualifyRule(reason=reason, column=column, equals=value)
    content = {"reason": rule.reason, "column": rule.column, "equals": rule.equals}
    # Quoted, everything that cannot be printed is escaped, and the line stays one.
    printable = value.isprintable() and column.isprintable()
    told: str = yaml.safe_dump(
        [content],
        default_flow_style=True,
        default_style=None if printable else '"',
        allow_unicode=printable,
        sort_keys=False,
        width=100_000,
    )
    return f"- {told.strip()[1:-1]}"
