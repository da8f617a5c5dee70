"""Encoding: levels, unseen and missing values, and the same matrix whatever the table's layout."""

from __future__ import annotations

import json
import logging

import numpy as np
import pandas as pd
import pytest

from propensity.errors import InputError
from propensity.model.encoding import (
    Encoding,
    count_unseen,
    encode,
    encoding_from_json,
    encoding_to_json,
    fit_encoding,
)
from tiny_models import make_feature

VISITS, CHANNEL = make_feature("visits"), make_feature("channel", "category")


def make_frame() -> pd.DataFrame:
    channel = ["b", "b", "b", "a", "a", "a", "c", None]
    return pd.DataFrame(
        {"visits": [0.0, 1, 2, 3, 4, 5, 6, np.nan], "channel": pd.array(channel, dtype="str")}
    )


def test_levels_are_the_frequent_values_most_frequent_first_then_by_name() -> None:
    channel = ["z"] * 4 + ["b"] * 3 + ["a"] * 3 + ["once"] + [None] * 5
    frame = pd.DataFrame({"channel": pd.array(channel, dtype="str")})
    assert fit_encoding(frame, [CHANNEL], least_rows=3).levels == {"channel": ["z", "a", "b"]}
    assert fit_encoding(frame, [CHANNEL], least_rows=3, most_levels=2).levels == {"channel": ["z", "a"]}


def test_a_category_is_its_level_plus_two_missing_is_zero_and_rare_is_one() -> None:
    encoding = fit_encoding(make_frame(), [VISITS, CHANNEL], least_rows=2)
    matrix = encode(make_frame(), encoding)
    assert matrix[:, 1].tolist() == [3, 3, 3, 2, 2, 2, 1, 0]
    assert matrix[:7, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert np.isnan(matrix[7, 0])
    assert encoding.n_codes("channel") == 4


def test_unseen_values_become_any_other_and_are_counted() -> None:
    encoding = fit_encoding(make_frame(), [VISITS, CHANNEL], least_rows=2)
    frame = pd.DataFrame({"visits": [1.0] * 4, "channel": pd.array(["new", "a", None, "newer"], dtype="str")})
    assert encode(frame, encoding)[:, 1].tolist() == [1, 2, 0, 1]
    assert count_unseen(frame, encoding) == {"channel": 2}
    assert count_unseen(frame.iloc[1:3], encoding) == {}


def test_the_order_of_columns_and_extra_columns_do_not_matter() -> None:
    frame = make_frame()
    encoding = fit_encoding(frame, [VISITS, CHANNEL], least_rows=2)
    turned = frame.assign(extra=1)[["channel", "extra", "visits"]]
    assert np.array_equal(encode(frame, encoding), encode(turned, encoding), equal_nan=True)


def test_a_missing_column_is_refused_by_name() -> None:
    encoding = fit_encoding(make_frame(), [VISITS, CHANNEL], least_rows=2)
    with pytest.raises(InputError, match=r"lacks the columns \['channel'\]; it has \['visits'\]") as refused:
        encode(make_frame()[["visits"]], encoding)
    assert refused.value.exit_code == 3


def test_features_that_do_not_vary_or_repeat_an_earlier_one_are_left_out() -> None:
    frame = make_frame().assign(
        constant=1.0, empty=np.nan, again=make_frame()["visits"], twice=[2.0] * 7 + [np.nan]
    )
    names = ["constant", "empty", "visits", "again", "twice"]
    encoding = fit_encoding(frame, [make_feature(name) for name in names])
    assert encoding.names == ["visits", "twice"]


def test_the_month_needs_all_twelve(caplog: pytest.LogCaptureFixture) -> None:
    month = make_feature("as_of_month")
    year = pd.DataFrame({"as_of_month": np.arange(1.0, 13.0), "visits": np.arange(12.0) ** 2})
    assert fit_encoding(year, [VISITS, month]).names == ["visits", "as_of_month"]
    with caplog.at_level(logging.INFO):
        assert fit_encoding(year.iloc[:11], [VISITS, month]).names == ["visits"]
    assert "as_of_month is left out" in caplog.text


def test_nothing_that_varies_is_refused() -> None:
    frame = pd.DataFrame({"visits": [1.0, 1.0]})
    with pytest.raises(InputError, match="none of the 1 features varies over the 2 rows"):
        fit_encoding(frame, [VISITS])


@pytest.mark.parametrize("name", ["count", "index", "proportion", "0"])
def test_a_category_may_have_any_name(name: str) -> None:
    frame = pd.DataFrame({name: pd.array(["a", "a", "b", "b"], dtype="str")})
    encoding = fit_encoding(frame, [make_feature(name, "category")], least_rows=2)
    assert encoding.levels == {name: ["a", "b"]}
    assert encode(frame, encoding)[:, 0].tolist() == [2, 2, 3, 3]


def test_a_column_of_nothing_but_missing_values_is_encoded_whatever_its_type() -> None:
    encoding = Encoding([VISITS, CHANNEL], {"channel": ["a"]})
    for empty in (None, np.nan, pd.NA):
        frame = pd.DataFrame({"visits": [empty] * 2, "channel": [empty] * 2})
        matrix = encode(frame, encoding)
        assert np.isnan(matrix[:, 0]).all()
        assert matrix[:, 1].tolist() == [0, 0]


def test_json_keeps_features_and_levels() -> None:
    encoding = fit_encoding(make_frame(), [VISITS, CHANNEL], least_rows=2)
    assert encoding_from_json(json.loads(json.dumps(encoding_to_json(encoding)))) == encoding
