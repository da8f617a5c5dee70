"""E-mail addresses in texts from the data: no page shows one, nor the domain that a reason may tell."""

from __future__ import annotations

from propensity.explain.words import replace_addresses

MASKED = "[e-mail address]"


def mask_addresses(text: str) -> str:
    """Return `text` with all that looks like an e-mail address, also one escaped in a URL, masked.

    >>> mask_addresses("asked for by ana.diaz@example.co.uk, again")
    'asked for by [e-mail address], again'
    """
    return replace_addresses(text, MASKED)
