"""Texts: what a spreadsheet would calculate, what no file may hold, what is an e-mail address."""

from __future__ import annotations

import re

# OWASP, "CSV Injection": = + - @ and their full-width forms begin a formula, at the start of a cell, behind
# blanks, and behind a separator that the reader's locale splits at although the writer's does not.
_FORMULA = re.compile(r"(^|[;\t\r\n])([ \u00a0\u3000]*)(?=[=+\-@＝＋－＠])")
_STARTS_WITH_CONTROL = re.compile(r"^[\t\r\n\0]")
# Control characters but tab, line feed and carriage return, and the two code points that XML excludes.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
# As many characters as an address may have on either side, so that a long text is read in linear time.
ADDRESS = re.compile(r"[\w.+'-]{1,64}((?:@|%40|＠)[\w-]{1,63}(?:\.[\w-]{1,63})+)", re.IGNORECASE)


def disarm(text: str) -> str:
    """Return a text with an apostrophe wherever a spreadsheet would begin a formula.

    For CSV that people open: in a workbook a cell has a type, and a text there is never calculated.

    Examples
    --------
    >>> disarm("=1+1"), disarm("a; =1+1"), disarm("a-b = c")
    ("'=1+1", "a; '=1+1", 'a-b = c')
    """
    if _STARTS_WITH_CONTROL.match(text):
        text = "'" + text
    return _FORMULA.sub(r"\1\2'", text)


def has_address(text: str) -> bool:
    """Return whether a text holds what looks like an e-mail address."""
    return ADDRESS.search(text) is not None


def printable(text: str) -> str:
    """Return a text with a blank in place of each character that XML and importers refuse."""
    return text if text.isprintable() else _UNPRINTABLE.sub(" ", text)


def shorten(text: str, limit: int) -> str:
    """Return a text of at most `limit` UTF-16 units, as CRMs and workbooks count, with ``...`` at a cut."""
    if len(text) * 2 <= limit or len(text.encode("utf-16-le")) <= 2 * limit:
        return text
    kept = text.encode("utf-16-le")[: 2 * (limit - 3)].decode("utf-16-le", errors="ignore")
    return kept + "..."
