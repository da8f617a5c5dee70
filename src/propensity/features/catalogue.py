"""The catalogue: which features exist for a workspace, and what each of them means.

A `Plan` says what there is to build from (columns, event types, windows); it is made once, when a
model is trained, and stored in the bundle, so that scoring builds exactly the same columns. Every
feature the plan gives is one `Feature`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from propensity.errors import InputError, ParamsError, nearest
from propensity.features.tracked import tracked_columns
from propensity.params import BEHAVIOUR, DataParams, FeaturesParams

Kind = Literal["number", "category"]
# The states of `propensity.features.states`.
BEFORE, AGED = "before", "aged"
# The families of behaviour that are the lead's own; calls are for sales to make.
BY_THE_LEAD = ("web", "email", "social")
KEYS = ("snapshot", "lead_id", "as_of", "split", "won", "weight")


@dataclass(frozen=True)
class Feature:
    """One column of the feature table.

    Attributes
    ----------
    name : str
        The column's name.
    kind : {'number', 'category'}
        Its type; a category is text.
    qualifier : str
        The family of evidence it belongs to; ``timing`` for the lead's age and the calendar.
    family : str
        What the features of one behaviour have in common, such as ``web_visit``; ``web_activity`` for all of
        a qualifier's.
    statistic : str
        ``attribute``, ``count``, ``days_since``, ``assets``, ``active_days``, ``value``,
        ``last_asset``, ``asset_count``, ``account`` or ``timing``.
    unit : str
        What one unit of a number is, or ``text``.
    label : str
        Its name in plain language.
    subject : str
        What is counted or described: an event type, a qualifier, an asset or a column.
    window_days : float or None
        The window a statistic looks back over.
    """

    name: str
    kind: Kind
    qualifier: str
    family: str
    statistic: str
    unit: str
    label: str
    subject: str
    window_days: float | None = None


@dataclass(frozen=True)
class Plan:
    """What features are built from, the same in training and in scoring.

    Attributes
    ----------
    attributes : dict
        Column of leads to its type, ``number`` or ``text``.
    qualifier_of : dict
        Column of leads to ``demographic`` or ``firmographic``.
    event_types : dict
        Qualifier to its event types.
    assets : dict
        Qualifier to the assets that are counted one by one.
    lookback_days : list of float
        Window lengths, ascending.
    timezone : str
        The zone whose clock the calendar features read.
    dated : bool
        Whether leads have a creation time, without which there is no age, calendar or behaviour.
    has_channel, has_account : bool
        Whether the optional columns behind a group of features are there and in use.
    asset_types, value_types : list of str
        The event types of which some event has an asset, or a value: of the others nothing is to be learned
        from assets or values.
    tracked : dict
        Column of leads, ``channel`` among them and in use or not, to its names in the history of field
        changes. A column that is not here has one value for all time.
    """

    attributes: dict[str, str]
    qualifier_of: dict[str, str]
    event_types: dict[str, list[str]] = field(default_factory=dict)
    assets: dict[str, list[str]] = field(default_factory=dict)
    lookback_days: list[float] = field(default_factory=list)
    timezone: str = "UTC"
    dated: bool = True
    has_channel: bool = False
    has_account: bool = False
    asset_types: list[str] = field(default_factory=list)
    value_types: list[str] = field(default_factory=list)
    tracked: dict[str, list[str]] = field(default_factory=dict)

    @property
    def asset_qualifiers(self) -> list[str]:
        """The qualifiers of which some event has an asset."""
        return [q for q, types in self.event_types.items() if not set(types).isdisjoint(self.asset_types)]

    @property
    def rebuilt(self) -> dict[str, list[str]]:
        """The tracked columns in use, whose value is the one they had at ``as_of``."""
        used = {*self.attributes, *(["channel"] if self.has_channel else [])}
        return {column: names for column, names in self.tracked.items() if column in used}


def make_plan(
    data: DataParams,
    chosen: FeaturesParams,
    attribute_types: Mapping[str, str],
    *,
    assets: dict[str, list[str]] | None = None,
    filled: Mapping[str, Collection[str]] | None = None,
    history_fields: Iterable[str] = (),
) -> Plan:
    """Decide what features are built from.

    Parameters
    ----------
    data : DataParams
    chosen : FeaturesParams
    attribute_types : dict
        Every attribute column of the canonical leads with its type, ``number`` or ``text``.
    assets : dict, optional
        Per qualifier the assets worth a count of their own.
    filled : dict, optional
        ``asset`` and ``value`` to the event types of which some event has one; all types if left out.
    history_fields : iterable of str, optional
        The names of the fields whose changes the history holds.

    Raises
    ------
    InputError
        A column named under features is not in leads.
    ParamsError
        A column has the name of a feature that is built here.
    """
    excluded = set(chosen.exclude)
    listed: dict[str, str] = {
        column: str(qualifier)
        for qualifier, columns in (("demographic", chosen.demographic), ("firmographic", chosen.firmographic))
        if qualifier in chosen.use
        for column in columns
        if column not in excluded
    }
    _check_columns(listed, attribute_types)
    events, leads = data.events, data.leads
    channel_used = leads.channel is not None and not {"channel", leads.channel} & (excluded | set(listed))
    names = {column: [column] for column in attribute_types}
    if leads.channel is not None:
        names["channel"] = ["channel", leads.channel]
    event_types: dict[str, list[str]] = {
        q: kept
        for q in BEHAVIOUR
        if events is not None and q in chosen.use
        if (kept := [t for t in chosen.qualifiers.get(q, []) if t not in excluded])
    }

    def types_with(column: str) -> list[str]:
        if events is None or getattr(events, column) is None:
            return []
        listed = sorted({t for types in event_types.values() for t in types})
        return [t for t in listed if filled is None or t in filled[column]]

    plan = Plan(
        attributes={column: attribute_types[column] for column in listed},
        qualifier_of=listed,
        event_types=event_types,
        assets=assets or {},
        lookback_days=sorted({float(w) for w in chosen.lookback_days}),
        timezone=data.timezone,
        dated=leads.created_at is not None,
        has_channel=channel_used and "demographic" in chosen.use,
        has_account="account" in chosen.use and leads.account_id is not None and events is not None,
        asset_types=types_with("asset"),
        value_types=types_with("value"),
        tracked=tracked_columns(names, history_fields) if leads.created_at is not None else {},
    )
    _check_names(plan)
    return plan


def own_types(plan: Plan) -> dict[str, list[str]]:
    """Return the event types that a lead takes itself, by qualifier."""
    return {q: plan.event_types[q] for q in BY_THE_LEAD if plan.event_types.get(q)}


def catalogue(plan: Plan) -> list[Feature]:
    """Return every feature of the plan, in the order of the feature table's columns."""
    return [
        *_attributes(plan),
        *_timing(plan),
        *(feature for q in plan.event_types for feature in _behaviour(plan, q)),
        *_account(plan),
    ]


def window_name(days: float) -> str:
    """Return a window's short name, such as ``7d`` or ``0.5d``."""
    return f"{days:g}d"


def window_words(days: float) -> str:
    """Return a window in words, such as ``7 days`` or ``12 hours``."""
    if days < 1:
        return f"{days * 24:g} hours"
    return "24 hours" if days == 1 else f"{days:g} days"


def feature_to_json(feature: Feature) -> dict[str, Any]:
    """Return the fields of a feature for the bundle."""
    return dict(vars(feature))


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """Return the fields of a plan for the bundle."""
    return dict(vars(plan))


def _attributes(plan: Plan) -> list[Feature]:
    features = [
        Feature(
            name=column,
            kind="number" if plan.attributes[column] == "number" else "category",
            qualifier=qualifier,
            family=column,
            statistic="attribute",
            unit="as given" if plan.attributes[column] == "number" else "text",
            label=column.replace("_", " "),
            subject=column,
        )
        for column, qualifier in plan.qualifier_of.items()
    ]
    if plan.has_channel:
        features.append(
            Feature(
                "channel", "category", "demographic", "channel", "attribute", "text", "channel", "channel"
            )
        )
    return features


def _timing(plan: Plan) -> list[Feature]:
    if not plan.dated:
        return []
    rows = (
        ("age_days", "days", "days since the lead was created"),
        ("created_hour", "hour of day, 0 to 23", "hour of the day the lead was created"),
        ("created_weekday", "0 Monday to 6 Sunday", "weekday the lead was created"),
        ("as_of_month", "1 to 12", "month of the year"),
    )
    return [
        Feature(name, "number", "timing", name, "timing", unit, label, name) for name, unit, label in rows
    ]


def _behaviour(plan: Plan, q: str) -> list[Feature]:
    features: list[Feature] = []
    for t in plan.event_types[q]:
        family = f"{q}_{t}"
        for w in plan.lookback_days:
            features.append(
                Feature(
                    f"{family}_count_{window_name(w)}",
                    "number",
                    q,
                    family,
                    "count",
                    "events",
                    f"{t}: times in the last {window_words(w)}",
                    t,
                    w,
                )
            )
            if t in plan.value_types:
                features.append(
                    Feature(
                        f"{family}_value_{window_name(w)}",
                        "number",
                        q,
                        family,
                        "value",
                        "as given",
                        f"{t}: total value in the last {window_words(w)}",
                        t,
                        w,
                    )
                )
        features.append(
            Feature(
                f"{family}_days_since",
                "number",
                q,
                family,
                "days_since",
                "days",
                f"{t}: days since the last",
                t,
            )
        )
    return [*features, *_qualifier_totals(plan, q)]


def _qualifier_totals(plan: Plan, q: str) -> list[Feature]:
    activity, has_assets = f"{q}_activity", q in plan.asset_qualifiers
    features = []
    for w in plan.lookback_days:
        name, within = window_name(w), f"in the last {window_words(w)}"
        label = f"{q}: days with activity {within}"
        features.append(
            Feature(f"{q}_active_days_{name}", "number", q, activity, "active_days", "days", label, q, w)
        )
        if has_assets:
            label = f"{q}: different assets {within}"
            features.append(
                Feature(f"{q}_assets_{name}", "number", q, activity, "assets", "assets", label, q, w)
            )
    label = f"{q}: days since the last activity"
    features.append(Feature(f"{q}_days_since", "number", q, activity, "days_since", "days", label, q))
    return [*features, *_named_assets(plan, q)] if has_assets else features


def _named_assets(plan: Plan, q: str) -> list[Feature]:
    widest = plan.lookback_days[-1]
    name, within = window_name(widest), f"in the last {window_words(widest)}"
    features = []
    for asset in plan.assets.get(q, []):
        family, label = f"{q}_asset_{asset}", f"{asset}: times {within}"
        features.append(
            Feature(
                f"{family}_count_{name}", "number", q, family, "asset_count", "events", label, asset, widest
            )
        )
    last = f"{q}_last_asset"
    return [*features, Feature(last, "category", q, last, "last_asset", "text", f"{q}: last asset", q)]


def _account(plan: Plan) -> list[Feature]:
    if not plan.has_account:
        return []
    totals = (
        ("account_leads", "leads", "colleagues known as leads"),
        ("account_won", "leads", "colleagues won so far"),
        ("account_lost", "leads", "colleagues lost so far"),
    )
    features = [
        Feature(name, "number", "firmographic", name, "account", unit, label, label)
        for name, unit, label in totals
    ]
    for q in plan.event_types:
        for w in plan.lookback_days:
            label = f"colleagues' {q} activity in the last {window_words(w)}"
            features.append(
                Feature(
                    f"account_{q}_count_{window_name(w)}",
                    "number",
                    q,
                    f"account_{q}",
                    "account",
                    "events",
                    label,
                    q,
                    w,
                )
            )
    return features


def _check_columns(listed: dict[str, str], attribute_types: Mapping[str, str]) -> None:
    missing = [column for column in listed if column not in attribute_types]
    if missing:
        hints = ", ".join(f"'{c}'{nearest(c, attribute_types)}" for c in missing)
        raise InputError(
            f"features names columns that the leads do not have: {hints}. The leads have: "
            f"{', '.join(attribute_types) or 'no attributes'}"
        )


def _check_names(plan: Plan) -> None:
    names = [feature.name for feature in catalogue(plan)]
    clashing = sorted({n for n in names if names.count(n) > 1 or n in KEYS})
    if clashing:
        raise ParamsError(
            f"features: columns {clashing} have the names of features or keys that are built here; "
            "rename them in the input or list them under features.exclude"
        )
