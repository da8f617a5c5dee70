"""Fitting on a sample gives the probabilities of all rows."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from propensity.data.fetch import read_rows
from propensity.data.files import read_json, write_json
from propensity.model.bundle import read_model
from propensity.model.encoding import encode, encoding_from_json
from propensity.model.sampling import sample_rows, shift_margin
from propensity.model.segments import Segmented
from propensity.model.training import train_model
from propensity.params import Params
from propensity.stages import train
from propensity.workspace import Workspace
from tiny_models import FEATURES, KINDS, model_params

ROWS = 30_000


@pytest.fixture(scope="module")
def rare() -> pd.DataFrame:
    """Rows of which about 2% are won, with the true log-odds."""
    rng = np.random.default_rng(11)
    recent, earlier = rng.poisson(1.0, ROWS).astype(float), rng.poisson(2.0, ROWS).astype(float)
    channel = rng.choice(["referral", "search", "ads"], ROWS)
    truth = -5.2 + 0.6 * recent + 0.1 * earlier + np.where(channel == "referral", 1.2, 0.0)
    return pd.DataFrame(
        {
            "lead_id": [f"lead-{i:05d}" for i in range(ROWS)],
            "as_of": pd.Timestamp("2025-01-01", tz="UTC") + pd.to_timedelta(np.arange(ROWS), unit="h"),
            "split": np.where(
                np.arange(ROWS) < 0.5 * ROWS, "train", np.where(np.arange(ROWS) < 0.7 * ROWS, "stop", "test")
            ),
            "won": rng.random(ROWS) < expit(truth),
            "weight": 1.0,
            "visits_7d": recent,
            "visits_30d": recent + earlier,
            "employees": np.exp(rng.normal(4, 1, ROWS)).round(),
            "channel": pd.array(channel, dtype="str"),
            "job_title": pd.array(rng.choice(["clerk", "buyer"], ROWS), dtype="str"),
            "truth": truth,
        }
    )


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_of_a_model_fitted_on_a_sample_are_those_of_the_truth(rare, kind):
    fitted = rare["split"].isin(["train", "stop"]).to_numpy()
    found = sample_rows(fitted, rare["won"].to_numpy(), most=1_500, seed=7)
    training = train_model(rare[found.kept], FEATURES, model_params(kind), {})
    test = rare[rare["split"] == "test"]
    matrix = encode(test, training.encoding)
    margin = shift_margin(training.model, found.shift).margin(matrix)
    # 420 wins give the level to about 5%; without the correction it is off by a factor of twelve.
    level = expit(margin).mean() / expit(test["truth"]).mean()
    assert level == pytest.approx(1, abs=0.2)
    assert expit(margin - found.shift).mean() / expit(test["truth"]).mean() > 5
    slope = np.polyfit(margin, test["truth"], 1)[0]
    assert slope == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("kind", KINDS)
def test_a_shift_moves_the_margin_of_every_row_and_no_contribution(rare, kind):
    training = train_model(
        rare.iloc[::15].assign(split=lambda t: np.where(np.arange(len(t)) % 3, "train", "stop")),
        FEATURES,
        model_params(kind),
        {},
    )
    matrix = encode(rare.tail(50), training.encoding)
    before, parts, base = (
        training.model.margin(matrix),
        training.model.contributions(matrix),
        training.model.base,
    )
    moved = shift_margin(training.model, -2.5)
    np.testing.assert_allclose(moved.margin(matrix), before - 2.5, rtol=0, atol=1e-12)
    np.testing.assert_allclose(moved.contributions(matrix), parts, rtol=0, atol=1e-9)
    assert moved.base == pytest.approx(base - 2.5, abs=1e-9)
    np.testing.assert_array_equal(training.model.margin(matrix), before)
    wrapped = shift_margin(Segmented(training.model, {}), -2.5)
    np.testing.assert_allclose(wrapped.margin(matrix), before - 2.5, rtol=0, atol=1e-12)


def test_the_stage_fits_on_as_many_rows_as_params_allow_and_tells_what_it_left_out(rare, tmp_path):
    model = {"candidates": ["logistic"], "max_rows": 1_500, "threads": 1}
    data = {"leads": {"created_at": "created_at"}, "outcomes": {"won": ["won"], "closed_at": "at"}}
    ws = Workspace(tmp_path, Params.model_validate({"data": data, "model": model}))
    for folder in (ws.processed, ws.interim):
        folder.mkdir(parents=True)
    rare.to_parquet(ws.processed / "training.parquet", index=False)
    write_json({"catalogue": [asdict(feature) for feature in FEATURES]}, ws.interim / "features.json")
    assert "of a sample of 1,500 of 21,000 rows" in train(ws)
    candidate = ws.models / "candidate"
    told = read_json(candidate / "training.json")["sampling"]
    fitted = rare[rare["split"] != "test"]
    n_won = int(fitted["won"].sum())
    assert told["rows"] == 1_500 and told["of"] == len(fitted) == 21_000
    assert told["won_share"] == 1 and told["lost_share"] == (1_500 - n_won) / (21_000 - n_won)
    assert told["shift"] == pytest.approx(np.log(told["lost_share"]))
    encoding = encoding_from_json(read_json(candidate / "encoding.json"))
    written = read_model(candidate, encoding, blend_weight=None, threads=1)
    test = rare[rare["split"] == "test"]
    level = expit(written.margin(encode(test, encoding))).mean() / expit(test["truth"]).mean()
    assert level == pytest.approx(1, abs=0.2)


@given(
    won=st.lists(st.booleans(), min_size=1, max_size=200),
    most=st.integers(1, 250),
    seed=st.integers(0, 5),
)
def test_a_sample_has_the_asked_size_keeps_wins_first_and_is_the_same_again(won, most, seed):
    won = np.array(won)
    fitted = np.arange(len(won)) % 4 != 3
    found = sample_rows(fitted, won, most=most, seed=seed)
    again = sample_rows(fitted, won, most=most, seed=seed)
    of, n_won = fitted.sum(), (fitted & won).sum()
    assert found.kept.sum() == found.rows == min(most, of)
    assert not (found.kept & ~fitted).any()
    assert (found.kept & won).sum() == (
        n_won if of <= most else min(n_won, max(most // 2, most - (of - n_won)))
    )
    np.testing.assert_array_equal(found.kept, again.kept)


def test_the_shift_is_the_change_of_the_odds():
    """Of 1,000 rows 10% are won; 200 stay, all won ones among them: odds 1/9 become 1, by log 9."""
    won = np.arange(1000) < 100
    found = sample_rows(np.ones(1000, dtype=bool), won, most=200, seed=1)
    assert found.shift == pytest.approx(-np.log(9))
    assert logit(0.5) + found.shift == pytest.approx(logit(0.1))


def test_only_the_marked_rows_of_a_file_or_of_a_folder_of_files_are_read(tmp_path):
    table = pd.DataFrame({"a": range(10), "b": list("abcdefghij")})
    kept = np.array([i in (0, 3, 9) for i in range(10)])
    table.to_parquet(tmp_path / "one.parquet", row_group_size=4, index=False)
    folder = tmp_path / "many.parquet"
    folder.mkdir()
    table[:6].to_parquet(folder / "part-0.parquet", index=False)
    table[6:].to_parquet(folder / "part-1.parquet", index=False)
    for path in (tmp_path / "one.parquet", folder):
        pd.testing.assert_frame_equal(read_rows(path, kept), table[kept].reset_index(drop=True))
