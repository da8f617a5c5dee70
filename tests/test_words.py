"""Words: five languages that say the same, plurals, numbers, own words, and what is refused."""

from __future__ import annotations

import json
import pkgutil
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from propensity.errors import BundleError, ParamsError
from propensity.explain.words import (
    FORMS,
    LANGUAGES,
    Words,
    check_words,
    load_words,
    mask_addresses,
    merge_words,
    name_absence,
    name_subject,
    placeholders,
    plural_form,
    say,
    words_from_json,
    words_to_json,
    write_number,
    write_points,
    write_share,
)

EN = load_words("en")


def templates(words: Words) -> Iterator[tuple[str, Any]]:
    names = {"subjects", "qualifiers", "tiers", "weekdays", "months", "decimal", "thousands"}
    yield from ((key, value) for key, value in words.texts.items() if key not in names)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_says_all_that_english_says(language: str) -> None:
    words = load_words(language)
    check_words(words, language)
    assert list(words.texts) == list(EN.texts)
    for key, value in EN.texts.items():
        if key in ("qualifiers", "tiers"):
            assert set(words.texts[key]) == set(value)
        assert isinstance(words.texts[key], Mapping) == isinstance(value, Mapping), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_language_names_a_key_twice(language: str) -> None:
    """YAML takes the last one without a word."""
    content = pkgutil.get_data("propensity", f"explain/languages/{language}.yaml")
    assert content is not None
    keys = re.findall(r"^(\w+):", content.decode("utf-8"), flags=re.MULTILINE)
    assert sorted(keys) == sorted(set(keys))
    assert set(keys) == set(load_words(language).texts)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_template_can_be_filled_in_with_every_form(language: str) -> None:
    words = load_words(language)
    numbers = {plural_form(language, n): n for n in (1, 2, 5)}
    assert set(numbers) == set(FORMS[language])
    for key, value in templates(words):
        for n in numbers.values():
            names = placeholders(
                next(iter(EN.texts[key].values())) if isinstance(EN.texts[key], dict) else value
            )
            names |= (
                placeholders(value["other" if "other" in value else "many"])
                if isinstance(value, dict)
                else set()
            )
            said = say(words, key, n, **{name: f"<{name}>" for name in names if name != "n"})
            assert "{" not in said
            assert all(f"<{name}>" in said for name in names if name != "n"), key


@pytest.mark.parametrize(
    ("n", "form"),
    [(0, "many"), (1, "one"), (2, "few"), (4, "few"), (5, "many"), (11, "many"), (12, "many"), (14, "many"),
     (21, "one"), (22, "few"), (101, "one"), (111, "many"), (112, "many"), (1.5, "few")],
)  # fmt: skip
def test_russian_plurals(n: float, form: str) -> None:
    assert plural_form("ru", n) == form


@pytest.mark.parametrize("language", ["en", "es", "pt", "nl"])
def test_the_other_plurals(language: str) -> None:
    assert [plural_form(language, n) for n in (0, 1, 2, 1.5, 21)] == ["other", "one", *["other"] * 3]


@pytest.mark.parametrize(
    ("language", "days", "number"),
    [
        ("en", "1,200 days ago", "1,234.5"),
        ("es", "hace 1.200 días", "1.234,5"),
        ("pt", "há 1.200 dias", "1.234,5"),
        ("nl", "1.200 dagen geleden", "1.234,5"),
        ("ru", "1\u00a0200 дней назад", "1\u00a0234,5"),
    ],
)
def test_numbers_are_written_as_the_language_does(language: str, days: str, number: str) -> None:
    words = load_words(language)
    assert say(words, "days_ago", 1200) == days
    assert write_number(words, 1234.5) == number


@pytest.mark.parametrize(
    ("points", "text"),
    [(13.2, "+13"), (-12.5, "-12"), (1.0, "+1"), (0.97, "+1"), (0.94, "+0.9"), (-0.44, "-0.4"), (0.04, "0"),
     (-0.01, "0"), (0.0, "0")],
)  # fmt: skip
def test_points_are_whole_or_have_one_decimal_under_one(points: float, text: str) -> None:
    assert write_points(EN, points) == text


def test_shares() -> None:
    assert [write_share(EN, x) for x in (0.0, 0.004, 0.0096, 0.209, 1.0)] == [
        "0%",
        "0.4%",
        "1%",
        "21%",
        "100%",
    ]


def test_own_words_take_the_place_of_what_they_name() -> None:
    own = """
        subjects: {visit: Visited the site, form: {did: Filled in a form, none: No form filled}}
        base: Start
    """
    words = merge_words(EN, own, "own.yaml")
    assert name_subject(words, "visit") == "Visited the site"
    assert name_absence(words, "visit") == "no visit"
    assert (name_subject(words, "form"), name_absence(words, "form")) == (
        "Filled in a form",
        "No form filled",
    )
    assert name_subject(words, "first_offer") == "first offer"
    assert (say(words, "base"), say(words, "score")) == ("Start", "Score")
    assert EN.texts["subjects"] == {}


def test_own_words_may_name_one_form_or_one_name() -> None:
    words = merge_words(EN, "times: {one: a single time}\nqualifiers: {web: website}", "own.yaml")
    assert (say(words, "times", 1), say(words, "times", 2)) == ("a single time", "2 times")
    assert words.texts["qualifiers"]["email"] == "e-mail"


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("sentense: x", "own.yaml: unknown key 'sentense', did you mean 'sentence'?"),
        (
            "sentence: '{what}'",
            "own.yaml: sentence lacks the placeholder {points}; it takes {points}, {what}",
        ),
        ("sentence: '{what} {point}'", "unknown placeholder {point}, did you mean 'points'?"),
        ("sentence: '{what.__class__} {points}'", "sentence should hold names in braces and nothing else"),
        ("sentence: '{what!r} {points}'", "nothing else"),
        ("sentence: '{what:>9} {points}'", "nothing else"),
        ("sentence: '{} {points}'", "nothing else"),
        ("sentence: '{what {points}'", "nothing else"),
        ("sentence: [a]", r"sentence should be a text, it is ['a']"),
        ("times: {two: x}", "times should have the forms one, other, it has one, other, two"),
        ("times: {other: often}", "times lacks the placeholder {n}"),
        ("days_ago: 3", "days_ago should be a text for each form, it is 3"),
        ("weekdays: [Monday]", "weekdays should be a list of 7 texts"),
        ("tiers: {hot: x}", "tiers has the unknown name 'hot'"),
        ("subjects: {visit: {did: x}}", "subjects should give 'visit' a text, or {did: ..., none: ...}"),
        ("subjects: none", "subjects should be a mapping"),
        ("- a", "own.yaml should be a YAML mapping"),
        ("a: [", "own.yaml should be YAML"),
    ],
)
def test_own_words_that_do_not_fit_are_refused(own: str, message: str) -> None:
    with pytest.raises(ParamsError) as refused:
        merge_words(EN, own, "own.yaml")
    assert message in str(refused.value)


def test_values_are_never_read_as_templates() -> None:
    assert say(EN, "attribute", subject="{value}", value="{0.__class__}") == "{value} is {0.__class__}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_catalogue_survives_the_bundle(language: str) -> None:
    words = merge_words(load_words(language), "subjects: {visit: Viewed}", "own.yaml")
    assert words_from_json(json.loads(json.dumps(words_to_json(words)))) == words


def test_a_changed_catalogue_in_a_bundle_is_refused() -> None:
    content = words_to_json(EN)
    texts = {key: value for key, value in content["texts"].items() if key != "base"}
    with pytest.raises(BundleError, match=r"words.json lacks 'base'"):
        words_from_json({"language": "en", "texts": texts})


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("ana.diaz@example.co.uk", "***@example.co.uk"),
        ("/thanks?mail=ana%40example.com", "/thanks?mail=***%40example.com"),
        ("a@b.de, c@d.nl", "***@b.de, ***@d.nl"),
        ("meet @ noon", "meet @ noon"),
    ],
)
def test_addresses_are_masked(text: str, masked: str) -> None:
    assert mask_addresses(text) == masked
