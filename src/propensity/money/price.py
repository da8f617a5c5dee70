"""What leads of each channel and campaign cost, what they bring, and what one may cost at most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.decisions.amounts import AmountModel, Z, fit_amounts, mean_amount
from propensity.decisions.value import touch_costs
from propensity.errors import InputError
from propensity.evaluation.intervals import effective_size
from propensity.money.ledger import Ledger
from propensity.params import ValueParams

Vector = npt.NDArray[np.float64]

DRAWS = 4000
VERDICTS = ("within", "over", "too few to say", "no spend known", "no amount known")
COLUMNS = (
    *("by", "name", "periods", "spend", "leads", "mqls", "sqls", "open", "wins", "wins_expected"),
    *(
        "cost_per_lead",
        "cost_per_mql",
        "cost_per_sql",
        "cost_per_win",
        "cost_per_win_low",
        "cost_per_win_high",
    ),
    *("win_rate", "win_rate_low", "win_rate_high", "amount", "amount_low", "amount_high", "amount_wins"),
    *("value", "value_low", "value_high", "may_cost", "verdict"),
)


@dataclass(frozen=True)
class Price:
    """The table of prices, and what a person has to know to read it.

    Attributes
    ----------
    table : DataFrame
        One row a channel, then one a campaign, with `COLUMNS`: money in the currency of the amounts, spend
        and ``cutoffs.value``; null where not known. ``wins`` have come, ``wins_expected`` adds to them what
        the open leads are likely to bring. ``value`` is what a lead is expected to bring: the probability
        that it is won, times the expected amount, times the margin, less what sales and nurture spend on it.
        ``may_cost`` is the most a lead may cost: its value, and never less than 0. Intervals are at 95%.
    notes : list of str
    """

    table: pd.DataFrame
    notes: list[str]


def price_leads(
    ledger: Ledger,
    spend: pd.DataFrame | None,
    value: ValueParams,
    *,
    seed: int,
    since: pd.Timestamp | None = None,
) -> Price:
    """Set what leads cost beside what they bring, for each channel and campaign.

    A lead counts against the spend of the period in which it was created. Where a channel has spend, only
    leads of its billed periods count; a period that is not over yet is left out, its leads are not all there.

    Parameters
    ----------
    ledger : Ledger
    spend : DataFrame or None
        Canonical spend: ``channel, period_start, period_end`` (not included), ``spend``.
    value : ValueParams
    seed : int
        For the intervals, which are simulated.
    since : Timestamp, optional
        Only leads created from then on, and spend of periods that begin from then on.

    Raises
    ------
    InputError
        The leads have no creation time, or no lead has a channel or a campaign.
    """
    leads = ledger.leads
    if leads["created_at"].isna().all():
        raise InputError(
            "prices need to know when leads were created, but data.leads.created_at is null; name the column"
        )
    if leads["channel"].isna().all() and leads["campaign"].isna().all():
        raise InputError(
            "prices are told by channel, but no lead has one; name the column under data.leads.channel, or "
            "that of data.events.campaign"
        )
    model = fit_amounts(leads[leads["status"] == "won"], ["channel", *ledger.segments], value)
    design = _design_effect(leads)
    if since is not None:
        leads = leads[leads["created_at"] >= since]
    bills, notes = _read_bills(spend, ledger, since)
    rows = [
        _price_one(by, name, group, bill, model, value, design=design, seed=seed)
        for by, name, group, bill in _groups(leads, bills)
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return Price(table, [*notes, *_notes(ledger, model, table)])


def _groups(
    leads: pd.DataFrame, bills: dict[str, pd.DataFrame]
) -> Iterator[tuple[str, str, pd.DataFrame, pd.DataFrame | None]]:
    """Yield each channel with its leads and bills, the largest first, then each campaign with its leads."""
    sizes = leads["channel"].value_counts()
    names = sorted({*sizes.index, *bills}, key=lambda name: (-int(sizes.get(name, 0)), str(name)))
    for name in names:
        bill = bills.get(name)
        group = leads[leads["channel"] == name]
        yield "channel", str(name), group if bill is None else group[_billed(group, bill)], bill
    sizes = leads["campaign"].value_counts()
    for name in sorted(sizes.index, key=lambda name: (-int(sizes[name]), str(name))):
        yield "campaign", str(name), leads[leads["campaign"] == name], None


def _read_bills(
    spend: pd.DataFrame | None, ledger: Ledger, since: pd.Timestamp | None
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Return the periods of spend that count by channel, and what to say of the others."""
    if spend is None or spend.empty:
        return {}, [
            "No spend is known: name its table under data.spend for the cost of a lead and the verdict."
        ]
    over = spend["period_end"] <= ledger.until
    notes = [] if over.all() else [f"{int((~over).sum())} periods of spend are not over yet and left out."]
    kept = spend[over]
    if since is not None:
        kept = kept[kept["period_start"] >= since]
    names = {str(name) for name in ledger.leads["channel"].dropna()}
    strange = sorted(set(kept["channel"]) - names)
    if strange:
        notes.append(
            f"Spend names channels that no lead has: {', '.join(strange[:5])}; are they spelt alike?"
        )
    return {str(name): rows for name, rows in kept.groupby("channel")}, notes


def _billed(leads: pd.DataFrame, bill: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Say which leads were created in one of the periods."""
    created = leads["created_at"]
    inside = np.zeros(len(leads), dtype=bool)
    for start, end in zip(bill["period_start"], bill["period_end"], strict=True):
        inside |= ((created >= start) & (created < end)).to_numpy()
    return inside


def _price_one(
    by: str,
    name: str,
    leads: pd.DataFrame,
    bill: pd.DataFrame | None,
    model: AmountModel,
    value: ValueParams,
    *,
    design: float,
    seed: int,
) -> dict[str, object]:
    spent = None if bill is None else float(bill["spend"].sum())
    row: dict[str, object] = {
        "by": by,
        "name": name,
        "periods": 0 if bill is None else len(bill),
        "spend": spent,
        "leads": len(leads),
        "mqls": int(leads["tier"].isin(["mql", "sql"]).sum()),
        "sqls": int((leads["tier"] == "sql").sum()),
        "open": int((leads["status"] == "open").sum()),
        "wins": int((leads["status"] == "won").sum()),
    }
    if leads.empty:
        return row | {"verdict": "too few to say" if spent else "no spend known"}
    known = leads[leads["chance"].notna()]
    chance, settled = known["chance"].to_numpy(), known["settled"].to_numpy()
    rng = np.random.default_rng(seed)
    rate = float(chance.mean()) if len(known) else float("nan")
    n_told = float(settled.sum()) / design
    rates = (
        rng.beta(rate * n_told + 0.5, (1 - rate) * n_told + 0.5, DRAWS) if len(known) else np.array([np.nan])
    )
    row |= {"wins_expected": rate * len(leads)} | _with_bounds("win_rate", rate, rates)
    row |= _costs(spent, row, rates)
    worth = _worth(known if len(known) else leads, model, rate, rates, value, rng)
    return row | worth | {"verdict": _judge(row["cost_per_lead"], worth)}


def _costs(spent: float | None, row: dict[str, object], rates: Vector) -> dict[str, object]:
    """Return the cost of each lead, MQL, SQL and win; null where there is none."""
    counts = {"lead": row["leads"], "mql": row["mqls"], "sql": row["sqls"], "win": row["wins_expected"]}
    costs: dict[str, object] = {
        f"cost_per_{name}": None if spent is None or not n else spent / float(str(n))
        for name, n in counts.items()
    }
    if spent is not None:
        low, high = np.quantile(spent / np.maximum(rates * float(str(row["leads"])), 1e-12), [0.025, 0.975])
        costs |= {"cost_per_win_low": float(low), "cost_per_win_high": float(high)}
    return costs


def _worth(
    leads: pd.DataFrame,
    model: AmountModel,
    rate: float,
    rates: Vector,
    value: ValueParams,
    rng: np.random.Generator,
) -> dict[str, object]:
    """Return what a lead brings: the rate times the amount times the margin, less what is spent on it."""
    if model.source == "none":
        return {}
    chance = np.nan_to_num(leads["chance"].to_numpy(dtype=np.float64))
    amount = mean_amount(model, leads, chance)
    touch = float(touch_costs(leads["tier"].to_numpy(dtype=str), value).mean())
    error = np.log(amount.high / amount.low) / (2 * Z) if amount.low > 0 else 0.0
    amounts = amount.amount * np.exp(rng.normal(0.0, error, len(rates)))
    worth = rate * amount.amount * value.margin - touch
    drawn = _with_bounds("value", worth, rates * amounts * value.margin - touch)
    return {
        "amount": amount.amount,
        "amount_low": amount.low,
        "amount_high": amount.high,
        "amount_wins": amount.wins,
        **drawn,
        "may_cost": max(worth, 0.0),
    }


def _judge(cost: object, worth: dict[str, object]) -> str:
    """Say whether a lead costs less than it brings, where the interval leaves no doubt."""
    if cost is None:
        return "no spend known"
    if not worth:
        return "no amount known"
    paid, low, high = (float(str(x)) for x in (cost, worth["value_low"], worth["value_high"]))
    return "within" if paid < low else "over" if paid > high else "too few to say"


def _with_bounds(name: str, middle: float, draws: Vector) -> dict[str, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return {name: middle, f"{name}_low": float(low), f"{name}_high": float(high)}


def _design_effect(leads: pd.DataFrame) -> float:
    """Return how many times the variance of a share of wins grows because colleagues end alike."""
    ended = leads[leads["status"] != "open"]
    if ended.empty:
        return 1.0
    codes = pd.factorize(ended["group"])[0].astype(np.int64)
    return len(ended) / effective_size((ended["status"] == "won").to_numpy(), codes)


def _notes(ledger: Ledger, model: AmountModel, table: pd.DataFrame) -> list[str]:
    notes = []
    if model.source == "params":
        notes.append(
            "Fewer than ten won leads have an amount (data.outcomes.amount), so each win counts "
            "cutoffs.value.won."
        )
    if model.source == "none":
        notes.append("No amounts are known and cutoffs.value.won is 0, so nothing says what a lead brings.")
    if ledger.unscored:
        notes.append(
            f"{ledger.unscored:,} open leads have no score; they count at the rate of their age and channel."
        )
    if (table["by"] == "campaign").any():
        notes.append("Spend is known by channel, not by campaign; a lead counts for its first campaign.")
    return notes
