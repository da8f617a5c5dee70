"""A simulated CRM whose leads' true probabilities are known: the default input and the tests' oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from propensity.data import bookkeeping, dirt, mechanism, planted
from propensity.data.files import write_json, write_parquet, write_text
from propensity.data.mechanism import Floats, Ints, to_micros, to_moments, true_probability
from propensity.data.owners import OWNER, sample_owners
from propensity.data.planted import DAY, END_MICROS
from propensity.data.population import NO_EFFECT, sample_leads
from propensity.data.shifts import FewerWins, Shift, check_shifts, describe_shifts, drop_unrecorded
from propensity.errors import InputError

__all__ = ["AGES_DAYS", "HORIZON_DAYS", "Simulation", "simulate", "true_probability", "write_simulation"]

AGES_DAYS = (0, 3, 7, 14, 30)
HORIZON_DAYS = 90
CALLS_PER_LEAD, CALLS_DECAY_DAYS = 1.5, 20.0
MEDIAN_SECONDS, LOG_SD_SECONDS = 35.0, 0.9


@dataclass(frozen=True)
class Simulation:
    """The tables of a simulated CRM, without the bad rows that `write_simulation` mixes in.

    Attributes
    ----------
    leads
        One row for each lead in order of creation: attributes as of creation, then the columns
        that were filled in by the time of the export (``effects["leak_columns"]``), and the owner as of
        the export.
    events
        One row for each action: ``lead_id, event_at, known_at, type, asset, value`` (seconds on a
        page; missing for all but visits), in order of ``event_at``.
    outcomes, stages, history, spend
        As in the canonical tables; ``outcomes`` has one row for each lead, open ones too.
    truth
        ``lead_id, as_of, horizon_days, true_probability`` for each lead still open at the ages
        `AGES_DAYS`, and for each lead open at ``observed_until``.
    effects
        The planted effects, plain values for JSON.
    observed_until
        The latest moment in the tables.
    seed
        Reproduces the tables, and the bad rows on writing.
    """

    leads: pd.DataFrame
    events: pd.DataFrame
    outcomes: pd.DataFrame
    stages: pd.DataFrame
    history: pd.DataFrame
    spend: pd.DataFrame
    truth: pd.DataFrame
    effects: dict[str, Any]
    observed_until: pd.Timestamp
    seed: int


def simulate(n_leads: int, seed: int, *, shifts: Sequence[Shift] = ()) -> Simulation:
    """Simulate the CRM of a company with `n_leads` leads from 2022 to 2025.

    Parameters
    ----------
    n_leads, seed : int
    shifts : sequence of Shift
        What changes in its world, and when. No event, outcome or stage before the first `DeadFeed` or
        `FewerWins` differs from the simulation without them.

    Raises
    ------
    InputError
        `n_leads` is less than one, `seed` is negative, or a shift is of what the simulation does not know.
    """
    check_shifts(shifts)
    if n_leads < 1 or seed < 0:
        raise InputError(f"expected at least 1 lead and a seed of at least 0, got {n_leads} and {seed}")
    rngs = np.random.default_rng(seed).spawn(6)
    leads = sample_leads(n_leads, rngs[0])
    interest = _sample_classes(leads, shifts, rngs[1])
    status, closed = _sample_closings(leads, interest, rngs[1])
    status = _lose_some(status, closed, shifts, rngs[5])
    events = drop_unrecorded(_sample_events(leads, interest, closed, rngs[2]), shifts)
    outcomes = bookkeeping.build_outcomes(leads, status, closed, rngs[3])
    stages = bookkeeping.build_stages(leads, outcomes, rngs[3])
    spend = bookkeeping.build_spend(leads, rngs[3])
    observed_until = max(
        leads["created_at"].max(),
        stages["entered_at"].max(),
        events["known_at"].max() if len(events) else leads["created_at"].max(),
    )
    truth = _truth_snapshots(leads, closed, observed_until)
    probability = true_probability(leads, events, truth, horizon_days=HORIZON_DAYS, shifts=shifts)
    owners = sample_owners(leads, observed_until, rngs[4])
    exported = bookkeeping.add_leaks(leads, outcomes, events, rngs[3])
    return Simulation(
        leads=exported.assign(**{OWNER: owners.current}),
        events=events,
        outcomes=outcomes,
        stages=stages,
        history=owners.history,
        spend=spend,
        truth=truth.assign(true_probability=probability),
        effects=_describe(n_leads, seed, observed_until)
        | ({"shifts": describe_shifts(shifts)} if shifts else {}),
        observed_until=observed_until,
        seed=seed,
    )


def write_simulation(simulation: Simulation, folder: Path) -> None:
    """Write the tables, with a few bad rows mixed in, and the truth apart from them.

    Writes ``leads.csv``, ``outcomes.csv``, ``events.parquet``, ``stages.csv``, ``history.csv`` and
    ``spend.csv``; ``truth/snapshots.parquet`` holds ``Simulation.truth``; ``truth/effects.json`` holds
    ``Simulation.effects`` and, under ``dirt``, how many rows break which rule of which table.
    """
    rng = np.random.default_rng([simulation.seed, 1])
    leads = dirt.dirty_leads(simulation.leads, rng)
    outcomes = dirt.dirty_outcomes(simulation.outcomes, simulation.leads, rng)
    events = dirt.dirty_events(simulation.events, rng)
    write_text(leads.content, folder / "leads.csv")
    write_text(outcomes.content, folder / "outcomes.csv")
    write_parquet(events.content, folder / "events.parquet")
    write_text(dirt.to_csv(simulation.stages), folder / "stages.csv")
    write_text(dirt.to_csv(simulation.history), folder / "history.csv")
    write_text(dirt.to_csv(simulation.spend), folder / "spend.csv")
    write_parquet(simulation.truth, folder / "truth" / "snapshots.parquet")
    bad_rows = {"leads": leads.counts, "outcomes": outcomes.counts, "events": events.counts}
    write_json(simulation.effects | {"dirt": bad_rows}, folder / "truth" / "effects.json")


def _sample_classes(leads: pd.DataFrame, shifts: Sequence[Shift], rng: np.random.Generator) -> Ints:
    cumulative = np.cumsum(np.exp(mechanism.log_class_prior(leads, shifts)), axis=1)
    interest: Ints = (rng.random(len(leads))[:, None] > cumulative[:, :-1]).sum(axis=1)
    return interest


def _sample_closings(
    leads: pd.DataFrame, interest: Ints, rng: np.random.Generator
) -> tuple[npt.NDArray[np.str_], Ints]:
    """Return each lead's status at `END` and when it closed, or `END` for the open ones."""
    n_leads = len(leads)
    shares = mechanism.outcome_shares(mechanism.is_student(leads))
    won, lost = (shares[status][np.arange(n_leads), interest] for status in ("won", "lost"))
    uniform, normal = rng.random(n_leads), rng.normal(size=n_leads)
    final = np.select([uniform < won, uniform < won + lost], ["won", "lost"], default="open")
    days = np.full(n_leads, np.inf)
    for status in ("won", "lost"):
        rows = final == status
        log_sd = planted.LOG_SD_DAYS[status][interest[rows]]
        days[rows] = planted.MEDIAN_DAYS[status][interest[rows]] * np.exp(log_sd * normal[rows])
    latest = 2 * (END_MICROS - planted.START_MICROS)
    wait = 1 + np.minimum(days * DAY, latest).astype("int64")
    closed = to_micros(leads["created_at"]) + wait
    return np.where(closed < END_MICROS, final, "open"), np.minimum(closed, END_MICROS)


def _lose_some(
    status: npt.NDArray[np.str_], closed: Ints, shifts: Sequence[Shift], rng: np.random.Generator
) -> npt.NDArray[np.str_]:
    """Turn into lost what is won after a `FewerWins`, but for its factor."""
    uniform, kept = rng.random(len(status)), np.ones(len(status))
    closed_at = mechanism.to_moments(closed)
    for shift in shifts:
        if isinstance(shift, FewerWins):
            kept = np.where(closed_at >= shift.at, kept * shift.factor, kept)
    return np.where((status == "won") & (uniform >= kept), "lost", status)


def _sample_events(
    leads: pd.DataFrame, interest: Ints, closed: Ints, rng: np.random.Generator
) -> pd.DataFrame:
    created = to_micros(leads["created_at"])
    days = (closed - created) / DAY
    expected = mechanism.expected_items()
    lead, age = _sample_ages(expected.sum(axis=0)[interest], planted.DECAY_DAYS[interest], days, rng)
    item = _sample_items(expected, interest[lead], rng)
    caller, call_age = _sample_ages(
        np.full(len(leads), CALLS_PER_LEAD), np.full(len(leads), CALLS_DECAY_DAYS), days, rng
    )
    kinds = np.array([*(kind for kind, _ in planted.ITEMS), planted.UNINFORMATIVE_TYPE])
    assets = pd.Series([*(asset for _, asset in planted.ITEMS), pd.NA], dtype="str")
    owner = np.concatenate([lead, caller])
    item = np.concatenate([item, np.full(len(caller), len(planted.ITEMS))])
    event_at = created[owner] + 1 + (np.concatenate([age, call_age]) * DAY).astype("int64")
    nightly = np.append(planted.IS_NIGHTLY, False)[item]
    known_at = np.where(nightly, mechanism.next_sync(event_at), event_at)
    seconds = np.round(MEDIAN_SECONDS * np.exp(rng.normal(0.0, LOG_SD_SECONDS, size=len(owner))), 1)
    in_time = np.flatnonzero((known_at < END_MICROS) & (event_at < closed[owner]))
    order = in_time[np.lexsort((owner[in_time], event_at[in_time]))]
    return pd.DataFrame(
        {
            "lead_id": leads["lead_id"].take(owner[order]).reset_index(drop=True),
            "event_at": to_moments(event_at[order]),
            "known_at": to_moments(known_at[order]),
            "type": kinds[item[order]],
            "asset": assets.take(item[order]).reset_index(drop=True),
            "value": np.where(kinds[item[order]] == "visit", seconds[order], np.nan),
        }
    )


def _sample_ages(
    expected: Floats, decay_days: Floats, watched_days: Floats, rng: np.random.Generator
) -> tuple[Ints, Floats]:
    """Draw a decaying Poisson process for each lead: the owner and the age in days of each event."""
    reached = -np.expm1(-watched_days / decay_days)
    owner = np.repeat(np.arange(len(expected)), rng.poisson(expected * reached))
    return owner, -decay_days[owner] * np.log1p(-rng.random(len(owner)) * reached[owner])


def _sample_items(expected: Floats, interest: Ints, rng: np.random.Generator) -> Ints:
    item = np.zeros(len(interest), dtype="int64")
    for column in range(expected.shape[1]):
        rows = np.flatnonzero(interest == column)
        share = expected[:, column] / expected[:, column].sum()
        item[rows] = rng.choice(len(share), size=len(rows), p=share)
    return item


def _truth_snapshots(leads: pd.DataFrame, closed: Ints, observed_until: pd.Timestamp) -> pd.DataFrame:
    """List every lead at each age, and at the end of the data, if it is open then."""
    created = to_micros(leads["created_at"])
    latest = int(to_micros(pd.Series([observed_until]))[0])
    moments = [created + age * DAY for age in AGES_DAYS] + [np.full(len(leads), latest)]
    still_open = np.where(closed < END_MICROS, closed, np.iinfo(np.int64).max)
    kept = [np.flatnonzero((as_of < still_open) & (as_of <= latest)) for as_of in moments]
    as_of = np.concatenate([moment[rows] for moment, rows in zip(moments, kept, strict=True)])
    keys = pd.DataFrame({"lead": np.concatenate(kept), "as_of": as_of})
    keys = keys.drop_duplicates().sort_values(["lead", "as_of"], ignore_index=True)
    lead_id = leads["lead_id"].take(keys["lead"].to_numpy()).reset_index(drop=True)
    snapshots = pd.DataFrame({"lead_id": lead_id, "as_of": to_moments(keys["as_of"].to_numpy())})
    return snapshots.assign(horizon_days=float(HORIZON_DAYS))


def _describe(n_leads: int, seed: int, observed_until: pd.Timestamp) -> dict[str, Any]:
    return {
        "n_leads": n_leads,
        "seed": seed,
        "observed_until": observed_until,
        "horizon_days": HORIZON_DAYS,
        "ages_days": list(AGES_DAYS),
        "leak_columns": list(bookkeeping.LEAK_COLUMNS),
        "columns_without_effect": [*NO_EFFECT, OWNER],
    } | planted.describe_effects()
