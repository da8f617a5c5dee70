"""Training: the choice among candidates, and the same model whatever the order of the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss

from propensity.data.files import to_json
from propensity.errors import InputError, ParamsError
from propensity.model.boosting import MANY_ROWS, MOST_ROUNDS, Forge, likely_shapes
from propensity.model.encoding import encode
from propensity.model.estimators import Blend, Boosted, Estimator, Logistic, logistic_to_json
from propensity.model.logistic import PENALTIES, fit_logistic
from propensity.model.training import Training, describe_candidates, log_loss, train_model
from propensity.params import ModelParams
from tiny_models import FEATURES, KINDS, NAMES, make_table, matrix, model_params, table, training


def text_of(model: Estimator) -> list[str]:
    """All numbers of a model as text."""
    if isinstance(model, Logistic):
        return [to_json(logistic_to_json(model))]
    if isinstance(model, Boosted):
        return [*(b.model_to_string() for b in model.boosters), repr(model.base), repr(model.statistics)]
    assert isinstance(model, Blend)
    return [repr(model.weight), *text_of(model.logistic), *text_of(model.boosted)]


@pytest.mark.parametrize("kind", KINDS)
def test_training_again_on_shuffled_rows_gives_the_same_text(kind: str) -> None:
    shuffled = table().sample(frac=1, random_state=1)[
        [*reversed(NAMES), "weight", "won", "split", "as_of", "lead_id"]
    ]
    again = train_model(shuffled, FEATURES, model_params(kind), {})
    assert text_of(again.model) == text_of(training(kind).model)
    assert again.settings == training(kind).settings


def test_the_seed_is_what_the_trees_depend_on() -> None:
    params = ModelParams(candidates=["lightgbm"], threads=1, seed=8)
    other = train_model(table(), FEATURES, params, {})
    assert text_of(other.model) != text_of(training("lightgbm").model)


def test_the_candidate_with_the_least_log_loss_on_the_stop_part_is_chosen() -> None:
    candidates = ModelParams(candidates=["logistic", "lightgbm", "blend"], threads=1)
    found = train_model(table(), FEATURES, candidates, {})
    _, won, weight = found.stop
    losses = {name: log_loss(margin, won, weight) for name, margin in found.stop_margins.items()}
    assert set(losses) == set(KINDS)
    assert found.chosen == min(losses, key=lambda name: losses[name])
    w = found.settings["weight"]
    mixed = w * found.stop_margins["lightgbm"] + (1 - w) * found.stop_margins["logistic"]
    assert found.stop_margins["blend"] == pytest.approx(mixed)
    tried = [
        log_loss(v * found.stop_margins["lightgbm"] + (1 - v) * found.stop_margins["logistic"], won, weight)
        for v in np.arange(1, 10) / 10
    ]
    assert losses["blend"] == pytest.approx(min(tried))


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_finds_what_was_planted(kind: str) -> None:
    """The table's own log-odds are known: the fit's error is far under what the features explain."""
    held = table()[table()["split"] == "calibrate"]
    earlier = held["visits_30d"] - held["visits_7d"]
    effect = held["channel"].map({"referral": 1.5, "search": 0.3, "ads": -0.8}).fillna(0.0)
    truth = -2.2 + 0.6 * held["visits_7d"] + 0.1 * earlier + effect + 0.8 * (held["job_title"] == "buyer")
    margin = training(kind).model.margin(matrix(kind, "calibrate"))
    assert np.corrcoef(margin, truth)[0, 1] > 0.85
    assert np.var(margin - truth) < 0.35 * np.var(truth)


def test_the_chosen_model_is_fitted_on_train_and_stop_together() -> None:
    train = table()[table()["split"] == "train"]
    lost = train.assign(split="stop", won=False, lead_id=train["lead_id"] + "-again")
    fitted = train_model(pd.concat([train, lost]), FEATURES, model_params("logistic"), {})
    assert fitted.model.base < training("logistic").model.base - 0.4


@pytest.mark.parametrize("rows", [300, 4000])
def test_no_penalty_has_a_lower_loss_on_the_stop_part_than_the_one_chosen(rows: int) -> None:
    found = train_model(make_table(rows, seed=4), FEATURES, model_params("logistic"), {})
    data = make_table(rows, seed=4).sort_values(["lead_id", "as_of"])
    train, stop = (data[data["split"] == part] for part in ("train", "stop"))
    X, won = encode(train, found.encoding), train["won"].to_numpy()
    held, ended = encode(stop, found.encoding), stop["won"].to_numpy()
    losses = {}
    for penalty in PENALTIES:
        model = fit_logistic(X, won, np.ones(len(won)), found.encoding, penalty=penalty, monotone={})
        losses[penalty] = log_loss(model.margin(held), ended, np.ones(len(ended)))
    assert found.settings["penalty"] == min(losses, key=lambda penalty: losses[penalty])


def test_rounds_found_on_few_rows_are_fitted_again_at_their_rate_on_many() -> None:
    """Train alone may hold fewer rows than the many from which on trees are fitted faster."""
    forge = Forge(training("lightgbm").encoding, {}, seed=7, threads=1)
    for n_rows in (MANY_ROWS - 1, MANY_ROWS):
        shape = likely_shapes(n_rows, forge.encoding)[0]
        rates = {forge.settings(n, shape, seed=7)["learning_rate"] for n in (n_rows, 2 * MANY_ROWS)}
        assert rates == {shape.rate}


def test_rounds_stop_long_before_the_limit() -> None:
    rounds = training("lightgbm").settings["rounds"]
    assert 10 < rounds < MOST_ROUNDS / 2
    model = training("lightgbm").model
    assert isinstance(model, Boosted)
    assert [b.num_trees() for b in model.boosters] == [rounds]


@pytest.mark.parametrize("kind", KINDS)
def test_a_direction_for_a_feature_that_is_not_there_is_refused_whatever_the_candidate(kind: str) -> None:
    with pytest.raises(
        ParamsError, match=r"features.monotone: \['vists_7d'\] are not number features in use"
    ) as no:
        train_model(table(), FEATURES, model_params(kind), {"vists_7d": 1})
    assert no.value.exit_code == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_direction_is_kept_by_the_trained_model(kind: str) -> None:
    small = make_table(600)
    model = train_model(small, FEATURES, model_params(kind), {"visits_7d": -1}).model
    X = np.tile(matrix(kind, "calibrate")[:20, None, :], (1, 9, 1)).reshape(-1, 5)
    X[:, 0] = np.tile(np.arange(9.0), 20)
    assert (np.diff(model.margin(X).reshape(20, 9)) <= 1e-12).all()


def test_a_table_in_which_nothing_varies_is_refused() -> None:
    flat = table().assign(visits_7d=0.0, visits_30d=1.0, employees=np.nan, channel="a", job_title="b")
    with pytest.raises(InputError, match="none of the 5 features varies over the 800 rows"):
        train_model(flat, FEATURES, model_params("logistic"), {})


def test_log_loss_is_scikit_learns() -> None:
    margin = np.array([-2.0, 0.0, 3.0, 1.0])
    won = np.array([False, True, True, False])
    weight = np.array([1.0, 2.0, 0.5, 4.0])
    expected = sklearn_log_loss(won, 1 / (1 + np.exp(-margin)), sample_weight=weight)
    assert log_loss(margin, won, weight) == pytest.approx(expected)
    assert log_loss(np.array([-800.0]), np.array([True]), np.ones(1)) == pytest.approx(800.0)


def make_training(margin: list[float], won: list[bool], leads: list[int]) -> Training:
    stop = (np.empty((len(won), 0)), np.array(won), np.ones(len(won)))
    known = training("logistic")
    return replace(
        known, stop_margins={"logistic": np.array(margin)}, stop=stop, stop_leads=np.array(leads), settings={}
    )


def test_the_interval_of_a_candidates_log_loss_by_hand() -> None:
    described = describe_candidates(make_training([0.0, 0.0, 2.0], [True, False, True], [0, 1, 2]))
    losses = [np.log(2), np.log(2), np.log(1 + np.exp(-2))]
    mean = np.mean(losses)
    half = 1.96 * np.sqrt(np.sum((losses - mean) ** 2)) / 3
    row = described["candidates"]["logistic"]
    assert row["log_loss"] == pytest.approx(mean)
    assert row["log_loss_interval"] == pytest.approx([mean - half, mean + half])
    assert described["chosen"] == "logistic"
    assert described["n_features"] == 5


def test_repeating_a_leads_snapshot_does_not_narrow_the_interval() -> None:
    once = describe_candidates(make_training([0.0, 1.0, 2.0], [True, False, True], [0, 1, 2]))
    thrice = describe_candidates(make_training([0.0, 1.0, 2.0] * 3, [True, False, True] * 3, [0, 1, 2] * 3))
    assert thrice["candidates"]["logistic"]["log_loss_interval"] == pytest.approx(
        once["candidates"]["logistic"]["log_loss_interval"]
    )


def test_training_says_how_many_leads_were_won_and_when_they_are_few() -> None:
    known = table()[table()["split"] != "calibrate"]
    described = describe_candidates(training("logistic"))
    assert described["wins"] == known["won"].sum() > 100
    assert not described["few_wins"]
    twice = pd.concat([known, known.assign(as_of=known["as_of"] + pd.Timedelta("1D"))])
    kept = ~twice["won"] | twice["lead_id"].isin(known.loc[known["won"], "lead_id"].iloc[::12])
    few = describe_candidates(train_model(twice[kept], FEATURES, model_params("logistic"), {}))
    assert few["wins"] == len(known.loc[known["won"]].iloc[::12])
    assert few["few_wins"]
