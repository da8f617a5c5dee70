"""The leads that were forgotten, as salted hashes: raw tables that still hold them are no way back."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir

from propensity.data.files import read_json, write_json
from propensity.errors import InputError

FORGOTTEN = Path("data") / "forgotten.json"
RULE = "forgotten"


@dataclass(frozen=True)
class Forgotten:
    """What the list holds: no id can be read from it, and whether a known id is on it can be told.

    Attributes
    ----------
    salt : str
        Put before each id, so that lists of two workspaces cannot be compared.
    digests : frozenset of str
        SHA-256 of the salt and an id, in hex.
    """

    salt: str
    digests: frozenset[str]

    def digest(self, lead_id: str) -> str:
        """Return the hash under which an id is kept."""
        return hashlib.sha256(f"{self.salt}:{lead_id}".encode()).hexdigest()

    def holds(self, lead_id: ir.StringColumn) -> ir.BooleanColumn:
        """Return where a column holds an id that is on the list."""
        return (ibis.literal(f"{self.salt}:") + lead_id).hexdigest("sha256").isin(sorted(self.digests))


def read_forgotten(workspace: Path) -> Forgotten | None:
    """Return the list of a workspace; None where nobody was forgotten.

    Raises
    ------
    InputError
        The list is damaged: without it, who was forgotten would come back.
    """
    path = workspace / FORGOTTEN
    if not path.exists():
        return None
    try:
        content = read_json(path)
        found = Forgotten(str(content["salt"]), frozenset(map(str, content["digests"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} should hold a salt and digests, as 'propensity forget' writes it; it could not be read: "
            f"{error!r}. Restore it from a copy: without it, forgotten leads come back"
        ) from None
    return found if found.digests else None


def add_forgotten(workspace: Path, lead_ids: Iterable[str]) -> Forgotten:
    """Put ids on the list of a workspace, which is made if there is none, and return it."""
    known = read_forgotten(workspace) or Forgotten(secrets.token_hex(16), frozenset())
    grown = Forgotten(known.salt, known.digests | {known.digest(lead) for lead in lead_ids})
    if grown != known:
        write_json({"salt": grown.salt, "digests": sorted(grown.digests)}, workspace / FORGOTTEN)
    return grown
