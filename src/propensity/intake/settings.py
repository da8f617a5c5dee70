"""Ages, windows, split and cut-offs, from what the data can bear."""

from __future__ import annotations

from collections.abc import Sequence

from propensity.data.profiles import ColumnProfile, Delays

AGES = (0.0, 1.0, 7.0, 30.0)  # days: at once, and after a day, a week and a month
AN_HOUR = 0.0416666667  # days
_AT_ONCE = 0.1  # share of closings within the first hour from which on scoring at once comes too late
_LOOKBACK = (7.0, 30.0, 90.0)
_LARGEST_ACCOUNT = 20  # leads of an account, on average, that can be kept on one side of the split
_MANY_LEADS = 20_000  # a part of a twentieth then holds a thousand
_SPARE = 1.25  # how much more than what is seen may be quarantined


def choose_ages(delays: Delays | None) -> tuple[tuple[float, ...], str]:
    """Return the ages, in days, at which leads are looked at, and why.

    Parameters
    ----------
    delays : Delays or None
        None: leads have no closing time.
    """
    if delays is None:
        return (
            0.0,
        ), "no closing time is known, so nobody can tell which leads were still open at a later age"
    if delays.within_hour >= _AT_ONCE:
        return (AN_HOUR, *AGES[1:]), (
            f"{delays.within_hour:.0%} of the leads that ended did so within an hour, before anybody "
            "could score "
            "them: one hour is the first age"
        )
    return AGES, f"half of the leads that ended took more than {delays.median_days:.3g} days"


def ages_within(ages: Sequence[float], horizon_days: float) -> tuple[float, ...]:
    """Return the ages of at most half the horizon; the first one always stays."""
    return tuple(age for age in ages if age <= horizon_days / 2) or (ages[0],)


def choose_lookback(ages: Sequence[float]) -> tuple[tuple[float, ...], str]:
    """Return the windows of counts, in days, and why: the later ages, as long as these are short."""
    later = [age for age in ages if age > 0]
    if not later or later[-1] >= 30:
        return _LOOKBACK, "a week, a month, a quarter"
    windows = sorted({0.05 if age < 0.05 else age for age in later})
    return tuple(windows[-3:]), "as long as the leads are old when they are looked at"


def choose_group(account: ColumnProfile | None) -> tuple[str, str]:
    """Return what must not stand on two sides of the split, and why."""
    if account is None:
        return "lead_id", "no account is known"
    mean = account.given / max(account.distinct, 1)
    if mean > _LARGEST_ACCOUNT:
        return "lead_id", (
            f"an account has {mean:.0f} leads on average: kept together, they would leave too little for "
            "the later "
            "parts"
        )
    return "account_id", "leads of one account do not stand on two sides"


def shares_for_a_rate_that_moves(leads: int) -> dict[str, float]:
    """Return the split's shares where the share won moves; empty where the leads are too few for short parts.

    What chooses and calibrates should lie next to the tested period, and what is fitted on should be long;
    the tested period is long enough to see the rate move.
    """
    return {"train": 0.6, "stop": 0.05, "calibrate": 0.05, "test": 0.3} if leads >= _MANY_LEADS else {}


def choose_precision(won: int, ended: int) -> tuple[float, str]:
    """Return the share won to guarantee above the cut-off of sales qualified leads: twice the base rate."""
    rate = won / ended if ended else 0.2
    target = round(min(max(2 * rate, 0.1), 0.8), 2)
    return target, f"about twice the share won of the leads that ended, {rate:.1%}, between 0.1 and 0.8"


def choose_limit(kept_share: float) -> tuple[float, str]:
    """Return the share of a table's rows that may be quarantined, and why.

    Parameters
    ----------
    kept_share : float
        The least share of a table's rows that have a lead, and a lead with a creation time.
    """
    unknown = 1 - kept_share
    if unknown <= 0.15:
        return 0.2, ""
    return round(min(unknown * _SPARE, 0.95), 2), (
        f"{unknown:.0%} of a table's rows have no lead in the leads file, or one without a creation time"
    )


def describe_offsets(profiles: Sequence[ColumnProfile]) -> str:
    """Return what the offsets written in timestamps say about the zone they come from; empty if nothing."""
    offsets = sorted({offset for p in profiles for offset in p.offsets})
    if not offsets or offsets in (["+00:00"], ["+0000"]):
        return ""
    summer = " (as a zone with summer time has)" if len(offsets) == 2 else ""
    return (
        f"timestamps are written with {' and '.join(offsets)}{summer}; they are read exactly. timezone is "
        "that "
        "of times without an offset and of the calendar features"
    )
