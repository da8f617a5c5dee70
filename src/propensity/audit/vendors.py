"""Telling by a column's name that a CRM fills it in or overwrites it after the lead was created."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from propensity.audit.vendor_fields import GROUPS, Group, Kind

SEVERAL = "several CRMs"

# Words before a name that say what it belongs to, not what it is.
_PREFIXES = frozenset(
    """hs hubspot v2 deal deals lead leads contact contacts opportunity opportunities opp person prospect
    crm sf sfdc pi mkto mkto71 si mx""".split()  # noqa: SIM905
)
_SALE = "(?:lead|deal|opportunity|opp|prospect|pipeline|funnel|sales?|lifecycle|life cycle)"
_MOMENT = "(?:date|time|datetime|timestamp|day|month|on|at)"
_ACT = "(?:calls?|emails?|e mails?|mails?|meetings?|notes?|activity|activities|tasks?|touches|follow ups?)"

# Names that no vendor ships but many companies use. Each asks for a word of the sale beside a word of the
# end, the stage or the change: one alone ("stage", "status", "value", "last") also stands in honest names.
_PATTERNS: tuple[tuple[str, Kind, str, str], ...] = (
    (
        rf"\b(?:close|closed|closing|won|lost|loss|converted) (?:{_MOMENT}|value|amount|revenue|reasons?|by)"
        r"\b|\b(?:date|time) (?:closed|won|lost|converted)\b",
        "outcome",
        "close date, value or reason",
        "when, why or at what value the deal ended",
    ),
    (
        r"\b(?:won|win|loss|losing|lost|disqualified|disqualification|unqualified|rejection) reasons?\b"
        r"|\breasons? (?:for |of )?(?:the )?(?:loss|losing|lost|winning|win|won|closing|disqualification)\b",
        "outcome",
        "reason of the outcome",
        "why the deal was won or lost",
    ),
    (
        r"\b(?:is|was|has been) (?:won|lost|closed|converted)\b"
        r"|\bbec(?:a|o)me(?: a)? customer\b|^customer since\b",
        "outcome",
        "outcome flag",
        "whether or when the lead became a customer",
    ),
    (
        r"\b(?:days|hours|weeks|months|time) (?:to|until|till) (?:close|closing|win|conversion|convert)\b",
        "outcome",
        "time to close",
        "how long it took until the deal ended",
    ),
    (
        r"\b(?:deals?|opportunity|opportunities) (?:amounts?|values?|revenue|totals?|counts?|size|won|lost"
        r"|closed)\b|\b(?:number of|num|count of|no of|total) (?:(?:associated|open|closed|won|lost) )?"
        r"(?:deals|opportunities)\b"
        r"|\b(?:contract|agreement) (?:signed|signature|signing|amount|value)\b|\bsigned contract\b"
        r"|\bfirst (?:payment|invoice|purchase|order)\b",
        "outcome",
        "deals, contract or payment",
        "what was sold",
    ),
    (
        r"\b(?:win|winning|close|closing|deal|conversion|sales?) (?:probability|likelihood|chance)\b"
        r"|\bprobability (?:of|to) (?:win|winning|close|closing|conversion|convert|sale)\b"
        r"|\b(?:sales? )?forecast (?:amount|category|probability|value|revenue)\b",
        "outcome",
        "forecast",
        "a forecast that is 0 or 1 once the deal has ended",
    ),
    (
        rf"\b{_SALE} (?:stage|status|phase|step)\b"
        r"|\b(?:stage|status) of (?:the )?(?:lead|deal|sale|opportunity)\b"
        r"|^(?:current |last |previous |first )?stage (?:entered|left|exited|dates?|changed?|duration|since"
        r"|name|id)\b"
        r"|\b(?:days|time|hours) in (?:current |this |the )?(?:sales |deal |pipeline )?stage\b"
        r"|\b(?:date|time) (?:entered|exited|in)\b.*\b(?:stage|pipeline)\b"
        r"|^hs (?:v2 )?(?:date entered|date exited|time in|cumulative time in|latest time in|time to move)\b"
        rf"|\bbecame an? .*\b(?:lead|opportunity|subscriber|mql|sql)\b|^(?:mql|sql|sal) {_MOMENT}\b",
        "stage",
        "stage of the sales process",
        "how far the sales process has come, or since when",
    ),
    (
        rf"\b(?:last|latest|recent)\b.*\b(?:activity|activities|contact|contacted|touch|touched|modified|modification"
        rf"|updated?|changed?|engagement|interaction|action|viewed|seen|login|visit|visited|conversion|{_ACT[3:-1]})\b"
        rf"|\b(?:modified|updated) (?:{_MOMENT}|by)\b|\b(?:update|modification) (?:date|time)\b"
        r"|\b(?:date|time) (?:modified|updated)\b",
        "changing",
        "last activity or change",
        "the last thing that happened to the record",
    ),
    (
        r"\bnext (?:steps?|activity|action|task|follow ?up|call|meeting)\b|\bfollow ?up (?:date|on|at)\b",
        "changing",
        "next step",
        "what sales had planned last",
    ),
    (
        r"\b(?:lead|deal|contact|opportunity|prospect|predictive|behaviou?r(?:al)?|engagement|activity|einstein|pardot"
        r"|marketo|hubspot|propensity) (?:scores?|scoring|grade|rating|rank|ranking|quality|temperature)\b"
        r"|\basymmetrique\b|\blikelihood to (?:close|buy|convert|purchase)\b",
        "changing",
        "score or grade",
        "a score or a judgement that is revised as the lead is worked on",
    ),
    (
        r"\b(?:lead|deal|contact|opportunity|account|record|prospect) owner\b"
        rf"|^owner (?:id|name|email|assigned)\b|\bassigned (?:to|{_MOMENT}|user|rep)\b"
        r"|\bdate assigned\b|^assignee\b",
        "changing",
        "owner",
        "who works on it, which is often assigned in the course of the sale",
    ),
    (
        rf"\b(?:number of|num|count of|no of|total) (?:sales )?{_ACT}\b|\b{_ACT} (?:count|counts|total)\b"
        r"|\b(?:times|number of times) contacted\b",
        "changing",
        "count of activities",
        "a count that grows as long as the lead is worked on",
    ),
    (
        r"\b(?:deal|opportunity|sales?|lead) (?:description|notes?|comments?|remarks?|tags?|labels?)\b",
        "changing",
        "notes of sales",
        "what sales noted while working on it",
    ),
)


@dataclass(frozen=True)
class KnownField:
    """A field that cannot be used as it stands.

    Attributes
    ----------
    kind : {'outcome', 'stage', 'changing'}
        ``outcome``: it exists, or has its telling value, because of the outcome. ``stage``: how far the sales
        process has come. ``changing``: overwritten as time passes, so that an export holds its last value.
    vendor : str
        Who ships it, several joined by commas; ``several CRMs`` where the name only reads like such a field.
    label : str
        What the vendor's screens call it.
    meaning : str
        What it holds.
    """

    kind: Kind
    vendor: str
    label: str
    meaning: str


def known_field(name: str) -> KnownField | None:
    """Return the field of a CRM or marketing system that a column's name stands for, or None.

    The label an export shows and the API's name are both known, however they are written: capitals,
    separators, Salesforce's ``__c``, Odoo's ``/id`` and Dynamics' ``_..._value`` make no difference, nor do
    words in front such as ``Deal -``, ``Lead:`` or ``hs_``.
    """
    words = words_of(name)
    known = _known()
    for start in range(len(words)):
        if start and words[start - 1] not in _PREFIXES:
            break
        if (field := known.get("".join(words[start:]))) is not None:
            return field
    return _read_like(" ".join(words))


def words_of(name: str) -> list[str]:
    """Return a name's words in lower case: ``LastActivityDate__c`` gives last, activity, date."""
    name = re.sub(r"^_(.+)_value$", r"\1", name.strip())
    name = re.sub(r"__[cs]$|/\.?(?:id|display_name)$", "", name, flags=re.IGNORECASE)
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return [word.lower() for word in re.findall(r"[^\W_]+", parted)]


def _read_like(words: str) -> KnownField | None:
    for pattern, kind, label, meaning in _PATTERNS:
        if re.search(pattern, words):
            return KnownField(kind, SEVERAL, label, meaning)
    return None


@cache
def _known() -> dict[str, KnownField]:
    """Return each spelling's field; of a name that several vendors use, the first one's label and meaning."""
    found: dict[str, list[tuple[Group, str]]] = {}
    for group in GROUPS:
        for label, spellings in _entries(group.fields):
            for spelling in spellings:
                found.setdefault("".join(words_of(spelling)), []).append((group, label))
    return {key: _joined(uses) for key, uses in found.items()}


def _joined(uses: list[tuple[Group, str]]) -> KnownField:
    group, label = uses[0]
    vendors = dict.fromkeys(use.vendor for use, _ in uses)
    return KnownField(group.kind, ", ".join(vendors), label, group.meaning)


def _entries(fields: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each label with the spellings to go by."""
    for entry in fields.split("; "):
        label, _, names = entry.partition(" = ")
        spellings = [label, *(names.split(", ") if names else [])]
        rest = label.partition(" - ")[2]
        # "Deal - Won time" is also exported as "Won time"; a single word would be too common.
        spellings += [rest] if " " in rest else []
        yield label.lstrip("~"), [s for s in spellings if not s.startswith("~")]
