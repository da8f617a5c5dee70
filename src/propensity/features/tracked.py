"""Which columns of leads a history of field changes tracks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def tracked_columns(columns: Mapping[str, Sequence[str]], fields: Iterable[str]) -> dict[str, list[str]]:
    """Say which columns a history holds the changes of, and under which names.

    Names are compared by their letters and digits, whatever the case: ``Job Title`` is ``job_title``.

    Parameters
    ----------
    columns : dict
        Column to the names it goes by.
    fields : iterable of str
        The names in the history's ``field``.

    Returns
    -------
    dict
        Column to its names in the history, sorted; columns in the order given, without those that the
        history does not hold.

    Examples
    --------
    >>> tracked_columns({"job_title": ["job_title"], "city": ["city"]}, ["Job Title", "owner"])
    {'job_title': ['Job Title']}
    """
    spelt: dict[str, set[str]] = {}
    for name in fields:
        spelt.setdefault(_plain(name), set()).add(name)
    spelt.pop("", None)  # a name without any letter or digit is like no other
    found = {
        column: sorted(set().union(*(spelt.get(_plain(name), set()) for name in names)))
        for column, names in columns.items()
    }
    return {column: names for column, names in found.items() if names}


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
