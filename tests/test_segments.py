"""Segments: offsets by hand, kept where held-out leads gain and nowhere else, and told exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from propensity.data.bookkeeping import LEAK_COLUMNS
from propensity.data.files import write_json
from propensity.data.simulate import simulate, write_simulation
from propensity.errors import BundleError, ParamsError
from propensity.explain.contributions import compute_contributions
from propensity.model.bundle import log_odds, read_bundle, read_model, write_bundle, write_model
from propensity.model.encoding import FIRST_LEVEL, MISSING, OTHER, Encoding, encode
from propensity.model.estimators import Vector
from propensity.model.offsets import Rows, Trial, fit_offsets, judge_offsets, needed_errors, try_offsets
from propensity.model.segments import Offset, Segmented, pooled_of, segment_places
from propensity.model.training import describe_candidates, log_loss, train_model
from propensity.params import ModelParams
from propensity.stages import STAGES
from propensity.workspace import open_workspace
from test_bundle import positions, replace_file
from test_training import text_of
from tiny_models import (
    FEATURES,
    KINDS,
    METHODS,
    NAMES,
    bundle,
    calibrator,
    make_feature,
    make_table,
    matrix,
    model_params,
    table,
    training,
)

PLACE = NAMES.index("channel")


def make_rows(margin: list[float], won: list[int], codes: list[int]) -> Rows:
    return Rows(np.array(margin), np.array(won, dtype=bool), np.ones(len(won)), np.array(codes))


def test_without_a_ridge_a_level_gets_the_log_odds_of_its_wins() -> None:
    """Three of four at even odds; one of two at odds of three to one: log 3 either way."""
    rows = make_rows([0.0] * 4 + [np.log(3)] * 2, [1, 1, 1, 0, 1, 0], [1] * 4 + [2] * 2)
    assert fit_offsets(rows, 4, 1e-12) == pytest.approx([0.0, np.log(3), -np.log(3), 0.0], abs=1e-9)


@given(
    st.lists(st.tuples(st.floats(-40, 40), st.booleans(), st.floats(0, 5)), min_size=1, max_size=30),
    st.sampled_from([0.5, 1.0, 30.0]),
)
def test_offsets_are_where_the_penalised_likelihood_is_flat(
    rows: list[tuple[float, bool, float]], strength: float
) -> None:
    margin, won, weight = (np.array(values) for values in zip(*rows, strict=True))
    codes = np.arange(len(rows)) % 3
    offsets = fit_offsets(Rows(margin, won, weight, codes), 3, strength)
    pull = np.bincount(codes, weight * (won - expit(margin + offsets[codes])), 3)
    assert pull == pytest.approx(strength * offsets, abs=1e-7)


def test_gain_and_error_of_a_level_by_hand() -> None:
    """One of two at even odds, moved to odds of three to one: the win gains log 1.5, the loss costs log 2."""
    rows, own = make_rows([0.0] * 3, [1, 0, 1], [0, 0, 2]), np.array([np.log(3), np.log(3), 0.0])
    gain, error = judge_offsets(own, rows, np.array([0, 1, 2]), 3)
    assert gain == pytest.approx([(np.log(1.5) - np.log(2)) / 2, 0.0, 0.0])
    assert error == pytest.approx([np.log(3) * 0.5 * np.sqrt(2) / 2, 0.0, 0.0])
    _, of_one_lead = judge_offsets(own, rows, np.array([0, 0, 2]), 3)
    assert of_one_lead[0] == pytest.approx(np.log(3) * 0.5)


def test_many_levels_share_the_chance_of_one() -> None:
    assert needed_errors(1) == pytest.approx(1.0)
    assert needed_errors(2) == pytest.approx(1.409, abs=1e-3)  # 1 - Phi(1.409) is half of 0.1587
    assert needed_errors(40) == pytest.approx(2.654, abs=1e-3)  # a fortieth


LEVELS = [f"level {i}" for i in range(12)]
ENCODING = Encoding([make_feature("segment", "category")], {"segment": LEVELS})


def try_world(
    seed: int, shift: float = 0.0, *, n: int = 1500, snapshots: int = 1, moved: int = FIRST_LEVEL
) -> Trial:
    """Offsets on margins that are right but for one level, whose log-odds are higher by `shift`."""
    rng = np.random.default_rng(seed)
    codes, margin = rng.integers(0, FIRST_LEVEL + len(LEVELS), n), rng.normal(-2, 1, n)
    won = rng.random(n) < expit(margin + shift * (codes == moved))
    leads = np.repeat(np.arange(n), snapshots)
    part = codes[leads][:, None].astype(float), won[leads], np.ones(len(leads))
    return try_offsets(margin[leads], part, leads, ENCODING, [0], seed=seed)[0]


@pytest.mark.parametrize("snapshots", [1, 3])
def test_where_the_pooled_model_is_right_a_level_is_kept_as_rarely_as_is_said(snapshots: int) -> None:
    """At most in 16 of 100 worlds; 18 of 60 are three standard errors above."""
    kept = sum(bool(try_world(seed, n=600, snapshots=snapshots).kept.any()) for seed in range(60))
    assert kept < 18


@pytest.mark.parametrize("shift", [1.5, -2.5])
def test_a_level_that_the_pooled_model_misses_is_kept_with_what_it_misses(shift: float) -> None:
    found = [try_world(seed, shift, n=4000) for seed in range(10)]
    assert sum(bool(trial.kept[FIRST_LEVEL]) for trial in found) >= 9
    sizes = [trial.offsets[FIRST_LEVEL] for trial in found if trial.kept[FIRST_LEVEL]]
    assert np.mean(sizes) == pytest.approx(shift, abs=0.5)


def test_what_moves_all_levels_alike_is_no_segments() -> None:
    rng = np.random.default_rng(1)
    codes, margin = rng.integers(FIRST_LEVEL, FIRST_LEVEL + 12, 4000), rng.normal(-2, 1, 4000)
    part = codes[:, None].astype(float), rng.random(4000) < expit(margin + 1.5), np.ones(4000)
    trial = try_offsets(margin, part, np.arange(4000), ENCODING, [0], seed=1)[0]
    assert not trial.kept.any()
    assert np.abs(trial.offsets).max() < 0.5


def test_levels_to_come_share_any_other_which_gets_no_offset_and_missing_may() -> None:
    assert not try_world(3, 3.0, n=4000, moved=OTHER).judged[OTHER]
    assert try_world(3, 3.0, n=4000, moved=OTHER).offsets[OTHER] == 0
    assert try_world(3, 3.0, n=4000, moved=MISSING).kept[MISSING]


def try_rare(won: list[int], leads: list[int]) -> Trial:
    """A level of few rows at odds of 1 to 19 beside a thousand rows that are as they should be."""
    n, few = 1000, len(won)
    codes = np.append(np.full(n, FIRST_LEVEL), np.full(few, FIRST_LEVEL + 1))
    outcomes = np.append(np.arange(n) % 20 == 0, np.array(won, dtype=bool))
    margin = np.full(n + few, -np.log(19))
    part = codes[:, None].astype(float), outcomes, np.ones(n + few)
    return try_offsets(margin, part, np.append(np.arange(n), n + np.array(leads)), ENCODING, [0], seed=1)[0]


def test_a_rare_level_is_left_to_the_pooled_model() -> None:
    assert not try_rare([0] * 20, list(range(20))).kept.any(), "20 leads without a win are no surprise"
    assert not try_rare([1], [0]).kept.any(), "a lead alone in its level has nobody to learn from"
    assert try_rare([1] * 10 + [0] * 10, list(range(20))).kept[FIRST_LEVEL + 1]
    assert not try_rare([1] * 10, [0] * 10).kept.any(), "ten snapshots of one lead are one lead"


# --- the estimator ---------------------------------------------------------------------------------


def segmented(kind: str) -> Segmented:
    encoding = training(kind).encoding
    offsets = {
        PLACE: np.array([0.4, 0.0, 0.0, -1.3, 0.7]),
        NAMES.index("job_title"): np.zeros(encoding.n_codes("job_title")),
    }
    offsets[NAMES.index("job_title")][FIRST_LEVEL] = 0.9
    return Segmented(training(kind).model, {j: Offset(values, 0.1 * j) for j, values in offsets.items()})


@pytest.mark.parametrize("kind", KINDS)
def test_base_and_contributions_sum_to_the_margin(kind: str) -> None:
    model, X = segmented(kind), matrix(kind, "calibrate")
    margin = model.margin(X)
    assert model.base + model.contributions(X).sum(axis=1) == pytest.approx(margin, abs=1e-9)
    for method in METHODS:
        found = compute_contributions(model, calibrator(kind, method), X)
        assert found.base + found.values.sum(axis=1) == pytest.approx(
            calibrator(kind, method).log_odds(margin), abs=1e-9
        )


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_gets_the_offsets_of_its_levels_and_an_unseen_level_none(kind: str) -> None:
    model, encoding = segmented(kind), training(kind).encoding
    first = encoding.levels["job_title"][0]
    channels = [None, "fax", *encoding.levels["channel"]]
    rows = table().head(6).assign(channel=pd.array([*channels, "fax"], dtype="str"), job_title="pope")
    rows.loc[rows.index[5], "job_title"] = first
    X = encode(rows, encoding)
    added = model.margin(X) - model.pooled.margin(X)
    assert added == pytest.approx([0.4, 0.0, 0.0, -1.3, 0.7, 0.9], abs=1e-12)
    told = model.contributions(X) - model.pooled.contributions(X)
    assert told[:, PLACE] == pytest.approx(np.array([0.4, 0, 0, -1.3, 0.7, 0]) - 0.1 * PLACE, abs=1e-12)
    others = [j for j in range(len(NAMES)) if j not in model.offsets]
    assert (told[:, others] == 0).all()


def test_an_empty_matrix_has_no_rows() -> None:
    X = np.empty((0, len(NAMES)))
    assert segmented("lightgbm").margin(X).shape == (0,)
    assert segmented("lightgbm").contributions(X).shape == (0, len(NAMES))


# --- in training -----------------------------------------------------------------------------------


def make_moved(n: int = 4000) -> pd.DataFrame:
    """The table, in which referrals win a fifth as often from the stop part on; the rest is as before."""
    moved = make_table(n)
    late = (np.arange(n) >= 0.5 * n) & (moved["channel"] == "referral").to_numpy()
    moved["won"] &= ~late | (np.random.default_rng(5).random(n) < 0.2)
    return moved


def params(kind: str, *columns: str) -> ModelParams:
    return model_params(kind).model_copy(update={"segments": list(columns)})


def later_loss(model: Any, encoding: Encoding, rows: pd.DataFrame) -> float:
    later = rows[rows["split"] == "calibrate"]
    margin: Vector = model.margin(encode(later, encoding))
    return log_loss(margin, later["won"].to_numpy(), np.ones(len(later)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_level_that_moved_is_kept_and_later_leads_are_foreseen_better(kind: str) -> None:
    rows = make_moved()
    found = train_model(rows, FEATURES, params(kind, "channel", "job_title"), {})
    assert isinstance(found.model, Segmented)
    referral = found.encoding.levels["channel"].index("referral") + FIRST_LEVEL
    assert np.flatnonzero(found.model.offsets[PLACE].log_odds).tolist() == [referral]
    assert list(found.model.offsets) == [PLACE]
    pooled = later_loss(found.model.pooled, found.encoding, rows)
    assert later_loss(found.model, found.encoding, rows) < pooled - 0.015
    both = encode(rows[rows["split"] != "calibrate"], found.encoding)
    offset = found.model.offsets[PLACE]
    assert offset.mean == pytest.approx(offset.log_odds[both[:, PLACE].astype(int)].mean())


def test_where_nothing_moved_the_model_is_the_pooled_one() -> None:
    found = train_model(table(), FEATURES, params("logistic", "channel", "job_title"), {})
    assert text_of(found.model) == text_of(training("logistic").model)
    told = describe_candidates(found)["segments"]
    assert not any(row["kept"] or row["offset"] for row in told)
    assert {row["column"] for row in told} == {"channel", "job_title"}
    assert describe_candidates(training("logistic"))["segments"] == []


def test_what_was_tried_is_told_level_by_level() -> None:
    rows = make_moved()
    found = train_model(rows, FEATURES, params("logistic", "channel"), {})
    told = {row["level"]: row for row in describe_candidates(found)["segments"]}
    assert set(told) == {None, "search", "ads", "referral"}
    stop = rows[rows["split"] == "stop"]
    moved = stop[stop["channel"] == "referral"]
    row = told["referral"]
    assert (row["n"], row["wins"]) == (len(moved), moved["won"].sum())
    assert told[None]["n"] == stop["channel"].isna().sum()
    assert row["kept"]
    assert row["gain"] > needed_errors(4) * row["gain_se"] > 0
    assert row["offset"] < -0.4
    assert told["search"]["offset"] == 0
    assert told["search"]["tried"] != 0
    json.dumps(list(told.values()))


def test_training_again_on_shuffled_rows_keeps_the_same_offsets() -> None:
    rows = make_moved()
    one, other = (
        train_model(frame, FEATURES, params("logistic", "channel"), {}).model
        for frame in (rows, rows.sample(frac=1, random_state=1))
    )
    assert isinstance(one, Segmented)
    assert isinstance(other, Segmented)
    assert one.offsets[PLACE].log_odds.tolist() == other.offsets[PLACE].log_odds.tolist()
    assert one.base == other.base


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("chanel", r"'chanel', did you mean 'channel'\? is no category .* these are: 'channel', 'job_title'"),
        ("employees", "'employees' is no category that the model reads"),
    ],
)
def test_a_segment_that_is_no_category_in_use_is_refused(column: str, said: str) -> None:
    with pytest.raises(ParamsError, match=rf"model\.segments: {said}"):
        train_model(table(), FEATURES, params("logistic", column), {})


def test_a_category_that_does_not_vary_is_passed_over_and_a_column_named_twice_is_one() -> None:
    encoding = replace(training("logistic").encoding, features=FEATURES[:4])
    assert segment_places(["job_title", "channel", "channel"], FEATURES, encoding) == [PLACE]


# --- in the bundle ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Hold a bundle of a segmented blend."""
    made = replace(bundle("blend"), model=segmented("blend"))
    write_bundle(made, tmp_path / "bundle", table().head(30))
    return tmp_path / "bundle"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_scores_bit_for_bit_as_what_was_written(kind: str, tmp_path: Path) -> None:
    made = replace(bundle(kind), model=segmented(kind))
    version = write_bundle(made, tmp_path / "bundle", table().head(30))
    read = read_bundle(tmp_path / "bundle", threads=1)
    assert log_odds(read, table()).tolist() == log_odds(made, table()).tolist()
    assert isinstance(read.model, Segmented)
    assert read.model.base == made.model.base
    assert write_bundle(read, tmp_path / "again", table().head(30)) == version
    assert version != write_bundle(bundle(kind), tmp_path / "pooled", table().head(30))
    assert not (tmp_path / "pooled" / "segments.json").exists()


@pytest.mark.parametrize("flip", [0x01, 0x80])
def test_a_flipped_byte_is_refused(folder: Path, flip: int) -> None:
    content = (folder / "segments.json").read_bytes()
    for place in positions(content):
        changed = bytearray(content)
        changed[place] ^= flip
        (folder / "segments.json").write_bytes(changed)
        with pytest.raises(BundleError, match=r"'segments\.json' in .* changed after the bundle was written"):
            read_bundle(folder)


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda rows: [],
        lambda rows: {},
        lambda rows: [rows[0], rows[0]],
        lambda rows: [rows[0] | {"feature": 0}],
        lambda rows: [rows[0] | {"feature": 99}],
        lambda rows: [rows[0] | {"log_odds": rows[0]["log_odds"][:-1]}],
        lambda rows: [rows[0] | {"log_odds": [rows[0]["log_odds"]]}],
        lambda rows: [rows[0] | {"log_odds": [0.4, 0.2, 0.0, -1.3, 0.7]}],
        lambda rows: [rows[0] | {"mean": None}],
        lambda rows: [{"feature": PLACE}],
    ],
    ids=["none", "dict", "twice", "number", "unknown", "short", "nested", "other", "mean", "bare"],
)
def test_offsets_that_do_not_fit_the_features_are_refused(folder: Path, rewrite: Any) -> None:
    rows = json.loads((folder / "segments.json").read_text())
    replace_file(folder, "segments.json", rewrite(rows))
    with pytest.raises(BundleError, match=r"segments\.json|could not be read"):
        read_bundle(folder)


def test_an_offset_for_levels_that_training_did_not_see_is_refused(tmp_path: Path) -> None:
    write_model(training("logistic").model, tmp_path)
    write_json([{"feature": PLACE, "log_odds": [0, 0.2, 0, 0, 0], "mean": 0.0}], tmp_path / "segments.json")
    with pytest.raises(BundleError, match="an offset for levels that training did not see"):
        read_model(tmp_path, training("logistic").encoding, blend_weight=None)


def test_the_pooled_model_is_what_the_offsets_stand_on() -> None:
    assert pooled_of(segmented("blend")) is training("blend").model
    assert pooled_of(training("blend").model) is training("blend").model


# --- in a workspace --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Hold ``metrics.json`` of a few simulated leads with two segments."""
    folder = tmp_path_factory.mktemp("segments")
    write_simulation(simulate(700, 4), folder / "data" / "raw")
    content = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text())
    content["snapshots"]["ages_days"], content["features"]["lookback_days"] = [0, 7], [30]
    content["features"]["exclude"] = list(LEAK_COLUMNS)
    content["model"] |= {"candidates": ["logistic"], "segments": ["channel", "industry"]}
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    ws = open_workspace(folder / "params.yaml")
    for name in list(STAGES)[: list(STAGES).index("evaluate") + 1]:
        STAGES[name](ws)
    return dict(json.loads((folder / "reports" / "metrics.json").read_text()))


def test_the_test_part_is_measured_by_segment_as_it_is_by_channel(metrics: dict[str, Any]) -> None:
    for measured in (metrics, metrics["calibration"]):
        assert list(measured["by_segment"]) == ["channel", "industry"]
        renamed = [{"level": row.pop("channel"), **row} for row in measured["by_channel"]]
        assert measured["by_segment"]["channel"] == renamed
        assert sum(row["n"] for row in measured["by_segment"]["industry"]) <= metrics["test"]["n"]
    assert {row["column"] for row in metrics["model"]["segments"]} == {"channel", "industry"}
