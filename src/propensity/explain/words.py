"""Words: the catalogue of sentences behind the reasons, in one language, and how it is filled in.

A language is a YAML file in ``languages/``. A company's own file takes the place of what it names. Templates
hold plain names in braces and nothing else, so that a catalogue is text and never code.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from string import Formatter
from typing import Any

import yaml

from propensity.data.cells import ADDRESS
from propensity.errors import BundleError, ParamsError, nearest, some

LANGUAGES = ("en", "es", "pt", "nl", "ru")
FORMS = dict.fromkeys(LANGUAGES, ("one", "other")) | {"ru": ("one", "few", "many")}
LENGTHS = {"weekdays": 7, "months": 12}
OPEN = ("subjects",)  # mappings whose keys the company chooses


@dataclass(frozen=True)
class Words:
    """A checked catalogue.

    Attributes
    ----------
    language : str
        One of `LANGUAGES`; it decides the forms of plurals.
    texts : dict
        The content of a language's file: templates, plurals of templates by form, lists and names.
    """

    language: str
    texts: Mapping[str, Any]


@cache
def load_words(language: str) -> Words:
    """Return the built-in catalogue of a language."""
    content = pkgutil.get_data("propensity", f"explain/languages/{language}.yaml")
    assert content is not None
    return Words(language, yaml.safe_load(content))


def merge_words(words: Words, own: str, where: str) -> Words:
    """Return `words` with what a company's own YAML names in its place.

    Parameters
    ----------
    words : Words
    own : str
        YAML with keys of the built-in catalogue; a plural may be one text for all forms.
    where : str
        The file's name, for messages.

    Raises
    ------
    ParamsError
        It is no YAML mapping, has an unknown key, a value of another kind, or a template with other
        placeholders than the built-in one.
    """
    try:
        given = yaml.safe_load(own) or {}
    except yaml.YAMLError as error:
        raise ParamsError(f"{where} should be YAML with sentences for reasons: {error}") from None
    if not isinstance(given, dict):
        raise ParamsError(f"{where} should be a YAML mapping of names to sentences, it is {given!r:.60}")
    texts = dict(words.texts)
    for key, value in given.items():
        if key not in texts:
            raise ParamsError(f"{where}: unknown key '{key}'{nearest(str(key), texts)}")
        texts[key] = {**texts[key], **value} if _both_mappings(texts[key], value) else value
    merged = Words(words.language, texts)
    check_words(merged, where)
    return merged


def words_to_json(words: Words) -> dict[str, Any]:
    """Return the catalogue for the bundle."""
    return {"language": words.language, "texts": dict(words.texts)}


def words_from_json(content: Mapping[str, Any]) -> Words:
    """Read what `words_to_json` returned.

    Raises
    ------
    BundleError
        It would not pass `check_words`.
    """
    try:
        words = Words(content["language"], dict(content["texts"]))
        check_words(words, "words.json")
    except (ParamsError, LookupError, TypeError, ValueError) as error:
        raise BundleError(f"the bundle's words do not fit this version; train again: {error}") from None
    return words


def check_words(words: Words, where: str) -> None:
    """Check a catalogue against the English one, which says what the keys and placeholders are.

    Raises
    ------
    ParamsError
        A key is missing or unknown, a value has another kind, or a template other placeholders.
    """
    wanted = load_words("en").texts
    if missing := sorted(set(wanted) - set(words.texts)):
        raise ParamsError(f"{where} lacks {some(missing)}")
    for key, value in words.texts.items():
        if key not in wanted:
            raise ParamsError(f"{where}: unknown key '{key}'{nearest(str(key), wanted)}")
        problem = _check_value(key, value, wanted[key], FORMS[words.language])
        if problem:
            raise ParamsError(f"{where}: {key} {problem}")


def say(words: Words, key: str, n: float | None = None, /, **values: str) -> str:
    """Fill in a template.

    Parameters
    ----------
    words : Words
    key : str
    n : number, optional
        What the form of a plural is chosen by; it fills ``{n}`` unless that is among `values`.
    **values : str
        What stands for the other placeholders; never read as a template.
    """
    template = words.texts[key]
    if n is not None:
        values.setdefault("n", write_number(words, n))
    if not isinstance(template, str):
        template = template[plural_form(words.language, 0 if n is None else n)]
    return str(template.format_map(values))


def plural_form(language: str, n: float) -> str:
    """Return the form of a plural that a number takes, by the rules of Unicode's CLDR.

    Russian fractions, which CLDR calls ``other``, take the genitive singular as ``few`` does.
    """
    if language != "ru":
        return "one" if n == 1 else "other"
    if n != int(n):
        return "few"
    tens, ones = int(abs(n)) % 100, int(abs(n)) % 10
    if ones == 1 and tens != 11:
        return "one"
    return "few" if ones in (2, 3, 4) and tens not in (12, 13, 14) else "many"


def write_number(words: Words, x: float) -> str:
    """Return a number: whole ones in full, others with one decimal or two digits."""
    return localise(words, plain_number(x))


def plain_number(x: float) -> str:
    """Return what `write_number` does, with a comma for thousands and a point before decimals."""
    return f"{int(x):,}" if x == int(x) else f"{x:,.1f}" if abs(x) >= 10 else f"{x:.2g}"


def write_points(words: Words, points: float) -> str:
    """Return signed points: whole, with one decimal under 1, ``0`` where that would be 0.0."""
    text = f"{round(points):+,d}" if abs(points) >= 0.95 else f"{points:+.1f}"
    return "0" if text in ("+0.0", "-0.0") else localise(words, text)


def write_decimal(words: Words, x: float, *, signed: bool = False) -> str:
    """Return a number with one decimal."""
    return localise(words, f"{x:+,.1f}" if signed else f"{x:,.1f}")


def write_share(words: Words, share: float) -> str:
    """Return a share of 0 to 1 as a whole percentage, with one decimal under 1%."""
    percent = 100 * share
    text = f"{percent:.0f}" if percent == 0 or percent >= 0.95 else f"{percent:.1f}"
    return say(words, "percent", number=localise(words, text))


def name_subject(words: Words, subject: str) -> str:
    """Return what an event type, an asset or a column is called when it happened or is there."""
    own = words.texts["subjects"].get(subject, subject.replace("_", " "))
    return mask_addresses(own["did"] if isinstance(own, Mapping) else own)


def name_absence(words: Words, subject: str) -> str:
    """Return what it is called when an event type or an asset did not happen."""
    own = words.texts["subjects"].get(subject)
    if isinstance(own, Mapping):
        return mask_addresses(own["none"])
    return say(words, "none", subject=mask_addresses(subject.replace("_", " ")))


def name_qualifier(words: Words, qualifier: str) -> str:
    """Return what a qualifier is called."""
    return str(words.texts["qualifiers"].get(qualifier, qualifier))


def capital(text: str) -> str:
    """Return `text` with a capital first letter."""
    return text[:1].upper() + text[1:]


def mask_addresses(text: str) -> str:
    """Return `text` with the person's part of what looks like an e-mail address masked.

    >>> mask_addresses("asked for by ana.diaz@example.com")
    'asked for by ***@example.com'
    """
    return replace_addresses(text, r"***\1")


def replace_addresses(text: str, by: str) -> str:
    """Return `text` with all that looks like an e-mail address, also one escaped in a URL, replaced."""
    return ADDRESS.sub(by, text) if re.search("@|%40|＠", text) else text


def localise(words: Words, text: str) -> str:
    """Return a number as text with the marks of the language for its comma and point."""
    return text.translate({ord(","): words.texts["thousands"], ord("."): words.texts["decimal"]})


def _both_mappings(built_in: Any, own: Any) -> bool:
    return isinstance(built_in, Mapping) and isinstance(own, Mapping)


def _check_value(key: str, value: Any, wanted: Any, forms: tuple[str, ...]) -> str:
    """Return what is wrong with a value, empty if nothing is."""
    if key in OPEN:
        return _check_subjects(value)
    if isinstance(wanted, list):
        length = LENGTHS[key]
        right = isinstance(value, list) and len(value) == length and all(isinstance(v, str) for v in value)
        return "" if right else f"should be a list of {length} texts, it is {value!r:.80}"
    if isinstance(wanted, Mapping) and "one" not in wanted:
        return _check_names(value, wanted)
    if isinstance(value, Mapping) and isinstance(wanted, Mapping):
        if set(value) != set(forms):
            return f"should have the forms {', '.join(forms)}, it has {', '.join(map(str, value))}"
    elif not isinstance(value, str):
        return (
            f"should be a text{' for each form' if isinstance(wanted, Mapping) else ''}, it is {value!r:.80}"
        )
    given = dict(value) if isinstance(value, Mapping) else {"": value}
    needed = placeholders(wanted["other"] if isinstance(wanted, Mapping) else wanted)
    problems = (_check_template(text, needed, form) for form, text in given.items())
    return next(filter(None, problems), "")


def _check_subjects(value: Any) -> str:
    if not isinstance(value, Mapping):
        return f"should be a mapping of event types, assets and columns to texts, it is {value!r:.80}"
    for name, text in value.items():
        both = isinstance(text, Mapping) and set(text) == {"did", "none"}
        if not all(isinstance(t, str) for t in (text.values() if both else [text])):
            return f"should give '{name}' a text, or {{did: ..., none: ...}}; it gives {text!r:.80}"
    return ""


def _check_names(value: Any, wanted: Mapping[str, Any]) -> str:
    if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
        return f"should be a mapping of names to texts, it is {value!r:.80}"
    unknown = [name for name in value if name not in wanted]
    return f"has the unknown name '{unknown[0]}'{nearest(str(unknown[0]), wanted)}" if unknown else ""


def _check_template(text: Any, needed: frozenset[str], form: str) -> str:
    """The form ``one`` may leave the number out, as in "once"; no other placeholder may be missing."""
    if not isinstance(text, str):
        return f"should be a text, it is {text!r:.80}"
    try:
        found = placeholders(text)
    except ValueError as error:
        return f"should hold names in braces and nothing else in them, it is {text!r}: {error}"
    shown = ", ".join(f"{{{name}}}" for name in sorted(needed)) or "no placeholder"
    if unknown := sorted(found - needed):
        return f"has the unknown placeholder {{{unknown[0]}}}{nearest(unknown[0], needed)}; it takes {shown}"
    if missing := sorted(needed - found - ({"n"} if form == "one" else set())):
        return f"lacks the placeholder {{{missing[0]}}}; it takes {shown}"
    return ""


def placeholders(template: str) -> frozenset[str]:
    """Return the names in braces of a template.

    Raises
    ------
    ValueError
        A brace is open, or holds anything but a plain name.
    """
    names = set()
    for _, name, spec, conversion in Formatter().parse(template):
        if name is None:
            continue
        if spec or conversion or not re.fullmatch("[a-z_]+", name):
            raise ValueError(f"'{{{name}}}' is no plain name")
        names.add(name)
    return frozenset(names)
