"""The meaning of ``params.yaml``: every key, its type and its default, and how a mistake is reported.

A workspace is the folder that holds ``params.yaml``; every path in the file is relative to it.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from propensity.errors import InputError, ParamsError, hide_passwords, nearest

# Sections that say what becomes of scores, and of what is seen of them. A model is the same whatever they
# hold, so no bundle keeps them.
OPERATING = frozenset({"crm", "monitor", "scoring"})
BEHAVIOUR: tuple[Literal["web", "email", "social", "sales"], ...] = ("web", "email", "social", "sales")

_PASSWORD = re.compile(r"(://[^/@:\s]*:)[^/@\s]+@")

Share = Annotated[float, Field(gt=0, lt=1)]
Days = Annotated[float, Field(gt=0)]
Text = Annotated[str, Field(min_length=1)]


@cache
def known_zones() -> frozenset[str]:
    """Return the time zones of this machine; they are read from its disk once."""
    return frozenset(available_timezones())


class Section(BaseModel):
    """A part of the file: unknown keys are refused and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Database(Section):
    """A table of a database, such as ``{url: duckdb:///crm.duckdb, table: leads}``.

    Wherever the section is written or shown, a password in the URL is ``***``.
    """

    url: str = Field(repr=False)
    table: str

    @field_serializer("url")
    def _hide_password(self, url: str) -> str:
        return hide_passwords(url)


class Source(Section):
    """Where a raw table is read from."""

    path: str | Database
    delimiter: str = ","
    missing: list[str] = [""]


class LeadsParams(Source):
    path: str | Database = "data/raw/leads.csv"
    lead_id: str = "lead_id"
    created_at: str | None = None
    order_by: str | None = None
    account_id: str | None = None
    channel: str | None = None


class OutcomesParams(Section):
    path: str | Database | None = None
    delimiter: str = ","
    missing: list[str] = [""]
    lead_id: str = "lead_id"
    status: str = "status"
    won: list[str] = Field(min_length=1)
    lost: list[str] = []
    opened_at: str | None = None
    closed_at: str | None = None
    amount: str | None = None
    reason: str | None = None

    @field_validator("won", "lost", mode="before")
    @classmethod
    def _as_text(cls, values: Any) -> Any:
        return [_yaml_text(v) for v in values] if isinstance(values, list) else values

    @model_validator(mode="after")
    def _disjoint(self) -> OutcomesParams:
        both = sorted(set(self.won) & set(self.lost))
        if both:
            raise ValueError(f"{both} stand under both won and lost")
        return self


class EventsParams(Source):
    lead_id: str = "lead_id"
    event_at: str = "event_at"
    type: str = "type"
    known_at: str | None = None
    asset: str | None = None
    campaign: str | None = None
    value: str | None = None


class StagesParams(Source):
    lead_id: str = "lead_id"
    stage: str = "stage"
    entered_at: str = "entered_at"


class HistoryParams(Source):
    lead_id: str = "lead_id"
    field: str = "field"
    changed_at: str = "changed_at"
    old: str | None = "old"
    new: str = "new"


class SpendParams(Source):
    channel: str = "channel"
    period_start: str = "period_start"
    period_end: str = "period_end"
    spend: str = "spend"


class FeedbackParams(Source):
    lead_id: str = "lead_id"
    as_of: str = "as_of"
    verdict: str = "verdict"
    reason: str | None = "reason"
    given_by: str | None = "given_by"
    given_at: str = "given_at"


class DataParams(Section):
    engine: Literal["duckdb", "spark"] = "duckdb"
    memory_limit: Annotated[str, Field(pattern=r"^[0-9]+([.][0-9]+)? ?[KMGT]i?B$")] | None = None
    timezone: str = "UTC"
    observed_until: str | None = None
    max_quarantined: Annotated[float, Field(ge=0, le=1)] = 0.2
    leads: LeadsParams = LeadsParams()
    outcomes: OutcomesParams
    events: EventsParams | None = None
    stages: StagesParams | None = None
    history: HistoryParams | None = None
    spend: SpendParams | None = None
    feedback: FeedbackParams | None = None

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        if zone not in known_zones():
            raise ValueError(f"'{zone}' is no time zone such as Europe/Madrid{nearest(zone, known_zones())}")
        return zone

    @field_validator("observed_until", mode="before")
    @classmethod
    def _timestamp_text(cls, value: Any) -> Any:
        return None if value is None else str(value)


class Overruling(Section):
    """A finding of the audit that a person accepts, and why."""

    check: str
    subject: str | None = None
    reason: Annotated[str, Field(min_length=3)]


class FeaturesParams(Section):
    demographic: list[str] = []
    firmographic: list[str] = []
    qualifiers: dict[Literal["web", "email", "social", "sales"], list[str]] = {}
    use: list[Literal["demographic", "firmographic", "web", "email", "social", "sales", "account"]] = [
        "demographic",
        "firmographic",
        "web",
        "email",
        "social",
    ]
    lookback_days: list[Days] = Field(default=[7, 30, 90], min_length=1)
    exclude: list[str] = []
    allow: list[Overruling] = []
    monotone: dict[str, Literal[-1, 1]] = {}

    @model_validator(mode="after")
    def _one_place_each(self) -> FeaturesParams:
        columns = [*self.demographic, *self.firmographic]
        repeated = sorted({c for c in columns if columns.count(c) > 1})
        if repeated:
            raise ValueError(f"columns {repeated} are listed twice under demographic and firmographic")
        types = [t for listed in self.qualifiers.values() for t in listed]
        repeated = sorted({t for t in types if types.count(t) > 1})
        if repeated:
            raise ValueError(f"event types {repeated} stand under more than one qualifier")
        return self


class SnapshotsParams(Section):
    ages_days: list[Annotated[float, Field(ge=0)]] = Field(default=[0, 3, 7, 14, 30], min_length=1)
    horizon_days: Days | Literal["auto"] = 90.0
    immature: Literal["leave_out", "weight"] = "leave_out"

    @field_validator("ages_days")
    @classmethod
    def _sorted_ages(cls, ages: list[float]) -> list[float]:
        return sorted(set(ages))


class SplitParams(Section):
    by: Literal["time", "order", "random"] = "time"
    train: Share = 0.55
    stop: Share = 0.15
    calibrate: Share = 0.15
    test: Share = 0.15
    group: Literal["account_id", "lead_id"] = "account_id"

    @model_validator(mode="after")
    def _whole(self) -> SplitParams:
        total = self.train + self.stop + self.calibrate + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, stop, calibrate and test sum to {total:g}, not to 1")
        return self


class ModelParams(Section):
    candidates: list[Literal["logistic", "lightgbm", "blend"]] = Field(
        default=["logistic", "lightgbm", "blend"], min_length=1
    )
    trials: Annotated[int, Field(ge=0)] = 0
    segments: list[str] = []
    max_rows: Annotated[int, Field(ge=1000)] | None = None
    seed: Annotated[int, Field(ge=0)] = 7
    threads: Annotated[int, Field(ge=0)] = 0


class CalibrationParams(Section):
    methods: list[Literal["sigmoid", "beta", "isotonic"]] = Field(
        default=["sigmoid", "beta", "isotonic"], min_length=1
    )


CUTOFF_KEYS: dict[str, tuple[str, ...]] = {
    "recall": ("target",),
    "precision": ("target", "confidence"),
    "capacity": ("per_week",),
    "value": (),
}


class CutoffParams(Section):
    """A cut-off's policy and the keys that this policy takes; `confidence` is 0.9 if left out."""

    policy: Literal["recall", "precision", "capacity", "value"]
    target: Share | None = None
    confidence: Share | None = None
    per_week: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _usual_confidence(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("policy") == "precision" and given.get("confidence") is None:
            return {**given, "confidence": 0.9}
        return given

    @model_validator(mode="after")
    def _own_keys(self) -> CutoffParams:
        own = CUTOFF_KEYS[self.policy]
        given = [key for key in ("target", "confidence", "per_week") if getattr(self, key) is not None]
        wrong, missing = [k for k in given if k not in own], [k for k in own if k not in given]
        takes = (
            f"takes {' and '.join(own)}" if own else "takes no other key; its numbers stand in cutoffs.value"
        )
        if wrong:
            raise ValueError(f"the policy '{self.policy}' {takes}; it has {' and '.join(wrong)}")
        if missing:
            raise ValueError(f"the policy '{self.policy}' {takes}; {' and '.join(missing)} is missing")
        return self


class ValueParams(Section):
    won: Annotated[float, Field(ge=0)] = 0
    margin: Annotated[float, Field(gt=0, le=1)] = 1
    sales_touch: Annotated[float, Field(ge=0)] = 0
    nurture: Annotated[float, Field(ge=0)] = 0
    untouched: Annotated[float, Field(ge=0, lt=1)] = 0
    nurtured: Annotated[float, Field(ge=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _nurture_helps(self) -> ValueParams:
        if self.nurtured is not None and self.nurtured < self.untouched:
            raise ValueError(
                f"nurtured ({self.nurtured:g}) is the share of winners who buy when marketing alone keeps in "
                f"touch, so it is at least untouched ({self.untouched:g})"
            )
        return self


class CutoffsParams(Section):
    mql: CutoffParams = CutoffParams(policy="recall", target=0.8)
    sql: CutoffParams = CutoffParams(policy="precision", target=0.4)
    value: ValueParams = ValueParams()
    champion: str | None = None
    hold: Annotated[float, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _priced(self) -> CutoffsParams:
        value = self.value
        margin = value.won * value.margin
        if self.sql.policy == "value":
            _check_pays("sales_touch", value.sales_touch, margin * (1 - value.untouched))
            if value.nurtured is not None:
                _check_pays(
                    "sales_touch less nurture",
                    value.sales_touch - value.nurture,
                    margin * (1 - value.nurtured),
                )
        if self.mql.policy == "value":
            if value.nurtured is None:
                raise ValueError(
                    "mql has the policy 'value', which needs value.nurtured: the share of winners who buy "
                    "when marketing alone keeps in touch"
                )
            _check_pays("nurture", value.nurture, margin * (value.nurtured - value.untouched))
        return self


def _check_pays(name: str, cost: float, brings: float) -> None:
    if not 0 < cost < brings:
        raise ValueError(
            f"the policy 'value' needs {name} above 0 and under what it brings with a sure winner: it is "
            f"{cost:g}, and that brings {brings:g} by cutoffs.value (won, margin, untouched, nurtured)"
        )


class DisqualifyRule(Section):
    """Leads whose `column` meets the rule's one condition are not pursued.

    The conditions: ``equals`` and ``in`` (the whole value, whatever its case), ``matches`` (a word of it),
    ``below`` and ``above`` (a number), ``missing``, ``list`` (a built-in one), ``domains`` (of an address or
    a domain, with what is under them) and ``served`` (any other value that is given).
    """

    model_config = ConfigDict(serialize_by_alias=True)

    reason: Annotated[str, Field(min_length=1)]
    column: str
    equals: Text | None = None
    among: list[Text] | None = Field(default=None, alias="in", min_length=1)
    matches: list[Text] | None = Field(default=None, min_length=1)
    below: float | None = None
    above: float | None = None
    missing: Literal[True] | None = None
    builtin: Literal["students", "free_mail"] | None = Field(default=None, alias="list")
    domains: list[Text] | None = Field(default=None, min_length=1)
    served: list[Text] | None = Field(default=None, min_length=1)

    @property
    def condition(self) -> tuple[str, Any]:
        """The condition's name and what it asks for."""
        return next(iter(self._conditions().items()))

    def _conditions(self) -> dict[str, Any]:
        fields = {field.alias or name: getattr(self, name) for name, field in type(self).model_fields.items()}
        return {k: v for k, v in fields.items() if k not in ("reason", "column") and v is not None}

    @field_validator("equals", "among", "matches", "served", mode="before")
    @classmethod
    def _as_text(cls, values: Any) -> Any:
        return [_yaml_text(v) for v in values] if isinstance(values, list) else _yaml_text(values)

    @field_validator("domains")
    @classmethod
    def _domains(cls, domains: list[str] | None) -> list[str] | None:
        for domain in domains or []:
            if not re.fullmatch(r"[^\s@/:]+\.[^\s@/:.]+", domain.strip()):
                raise ValueError(f"'{domain}' is no domain such as competitor.com")
        return domains

    @model_validator(mode="after")
    def _one_condition(self) -> DisqualifyRule:
        given = list(self._conditions())
        if len(given) != 1:
            named = [f.alias or name for name, f in type(self).model_fields.items()][2:]
            has = f"has {len(given)}: {', '.join(given)}; write a rule for each" if given else "has none"
            raise ValueError(f"a rule has one condition, of {', '.join(named)}; this one {has}")
        return self


class ReasonsParams(Section):
    language: Literal["en", "es", "pt", "nl", "ru"] = "en"
    words: str | None = None


class FeedbackUseParams(Section):
    use: Literal["off", "report", "weights"] = "off"
    weight: Annotated[float, Field(gt=0)] = 2

    @field_validator("use", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        return "off" if value is False else value  # other programs' YAML reads and writes off as false


class CardParams(Section):
    """What a model card says that no data tells."""

    owner: str = ""
    intended_use: str = ""
    contest: str = ""
    fairness: list[str] = []


class CapacityParams(Section):
    """Leads a week that each tier has room for."""

    mql: Annotated[float, Field(gt=0)] | None = None
    sql: Annotated[float, Field(gt=0)] | None = None


class PromotionParams(Section):
    """What a challenger has to show before it takes the champion's place."""

    min_leads: Annotated[int, Field(ge=2)] = 200
    min_wins: Annotated[int, Field(ge=1)] = 20
    too_few: Literal["refuse", "promote"] = "refuse"
    log_loss: Annotated[float, Field(ge=0)] = 0
    calibration: Annotated[float, Field(ge=0)] = 0.01
    slices: Annotated[float, Field(ge=0)] = 0.05
    min_slice: Annotated[int, Field(ge=2)] = 50
    changing_tier: Annotated[float, Field(gt=0, le=1)] | None = None
    capacity: CapacityParams = CapacityParams()


class ScoringParams(Section):
    """What ``propensity score`` does with the scores, and when it refuses to replace the last ones."""

    to: Database | None = None
    chunk_rows: Annotated[int, Field(ge=1)] = 50_000
    max_quarantined: Annotated[float, Field(ge=0, le=1)] = 0.2
    incremental: bool = True
    history: bool = True
    keep_days: Days | None = None


CrmValue = Literal[
    "score",
    "probability",
    "tier",
    "grade",
    "fit_grade",
    "engagement_grade",
    "reasons",
    "expected_value",
    "expected_amount",
    "model_version",
    "scored_at",
]
_HUBSPOT_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_HUBSPOT_OWN = re.compile(r"hs_.*|hubspot_.*|lifecyclestage|email|firstname|lastname|phone|company|jobtitle")
_SALESFORCE_NAME = re.compile(r"(?=.{4,43}$)[A-Za-z](?:_?[A-Za-z0-9])*__c")


def _check_headers(headers: list[str]) -> None:
    folded = [header.lower() for header in headers]
    if repeated := sorted({header for header in folded if folded.count(header) > 1}):
        raise ValueError(f"the headers {repeated} are given to more than one column")


class AdvanceParams(Section):
    """How a tier moves a record on in an order of the CRM's own stages, and never back.

    `column` of leads holds the stage that a record has; `mql` and `sql` are stages of `order`.
    """

    field: Text | None = None
    column: Text
    order: list[Text] = Field(min_length=2)
    mql: Text | None = None
    sql: Text | None = None

    @model_validator(mode="after")
    def _in_order(self) -> AdvanceParams:
        folded = [stage.strip().lower() for stage in self.order]
        if repeated := sorted({stage for stage in folded if folded.count(stage) > 1}):
            raise ValueError(f"{repeated} stand more than once in the order")
        targets = {tier: stage for tier in ("mql", "sql") if (stage := getattr(self, tier)) is not None}
        if not targets:
            raise ValueError("names a stage neither for mql nor for sql, so it would move nothing")
        for tier, stage in targets.items():
            if stage not in self.order:
                raise ValueError(f"{tier} is '{stage}', which is not in the order {self.order}")
        places = [self.order.index(stage) for stage in targets.values()]
        if places != sorted(places):
            raise ValueError(f"mql, '{self.mql}', comes after sql, '{self.sql}', in the order")
        return self


class HubspotParams(Section):
    """What the files for HubSpot's import tool hold."""

    key: Text = "lead_id"
    header: Text = "lead_key"
    properties: dict[CrmValue, Text] = {
        "score": "propensity_score",
        "probability": "propensity_probability",
        "tier": "propensity_tier",
        "grade": "propensity_grade",
        "reasons": "propensity_reasons",
        "model_version": "propensity_model_version",
        "scored_at": "propensity_scored_at",
    }
    lifecycle: AdvanceParams | None = None
    rows_per_file: Annotated[int, Field(ge=2, le=1_048_576)] = 1_048_576
    megabytes_per_file: Annotated[float, Field(gt=0, le=512)] = 512

    @model_validator(mode="after")
    def _own_names(self) -> HubspotParams:
        for name in self.properties.values():
            if not _HUBSPOT_NAME.fullmatch(name) or _HUBSPOT_OWN.fullmatch(name):
                raise ValueError(
                    f"'{name}' is no custom property's internal name: a lower-case letter, then lower-case "
                    "letters, digits and underscores, at most 100, and none of HubSpot's own"
                )
        if self.header not in ("Record ID", "Email") and not _HUBSPOT_NAME.fullmatch(self.header):
            raise ValueError(
                f"header is '{self.header}'; the key's header is Record ID, Email, or the internal name of a "
                "property that requires unique values"
            )
        stage = [(self.lifecycle.field or "lifecyclestage")] if self.lifecycle else []
        _check_headers([self.header, *self.properties.values(), *stage])
        return self


class SalesforceParams(Section):
    """What the files for Salesforce's Bulk API and Data Loader hold."""

    key: Text = "lead_id"
    header: Text = "Lead_Key__c"
    fields: dict[CrmValue, Text] = {
        "score": "Propensity_Score__c",
        "probability": "Propensity_Probability__c",
        "tier": "Propensity_Tier__c",
        "grade": "Propensity_Grade__c",
        "reasons": "Propensity_Reasons__c",
        "model_version": "Propensity_Model_Version__c",
        "scored_at": "Propensity_Scored_At__c",
    }
    status: AdvanceParams | None = None
    rows_per_file: Annotated[int, Field(ge=2)] = 5_000_000
    megabytes_per_file: Annotated[float, Field(gt=0, le=150)] = 100

    @model_validator(mode="after")
    def _own_names(self) -> SalesforceParams:
        for name in self.fields.values():
            if not _SALESFORCE_NAME.fullmatch(name):
                raise ValueError(
                    f"'{name}' is no custom field's API name: a letter, then letters, digits and single "
                    "underscores, at most 40, and __c at the end"
                )
        if self.header not in ("Id", "Email") and not _SALESFORCE_NAME.fullmatch(self.header):
            raise ValueError(
                f"header is '{self.header}'; the key's header is Id, Email, or the API name of an external "
                "id field, such as Lead_Key__c"
            )
        stage = [(self.status.field or "Status")] if self.status else []
        _check_headers([self.header, *self.fields.values(), *stage])
        return self


class CrmParams(Section):
    """What ``propensity score --export`` writes for each CRM, and how far the feed of crossings reaches."""

    hubspot: HubspotParams = HubspotParams()
    salesforce: SalesforceParams = SalesforceParams()
    crossings_days: Days = 30.0


class MonitorParams(Section):
    """How often `propensity monitor` runs, and how many false alarms a year it may raise."""

    false_alarms_per_year: Annotated[float, Field(gt=0)] = 1
    every_days: Annotated[float, Field(gt=0)] = 7


class TrackingParams(Section):
    uri: str = "sqlite:///mlflow.db"
    experiment: str = "propensity"
    model: str = "propensity"


class Params(Section):
    """All of ``params.yaml``."""

    data: DataParams
    features: FeaturesParams = FeaturesParams()
    snapshots: SnapshotsParams = SnapshotsParams()
    split: SplitParams = SplitParams()
    model: ModelParams = ModelParams()
    calibration: CalibrationParams = CalibrationParams()
    cutoffs: CutoffsParams = CutoffsParams()
    disqualify: list[DisqualifyRule] = []
    reasons: ReasonsParams = ReasonsParams()
    feedback: FeedbackUseParams = FeedbackUseParams()
    card: CardParams = CardParams()
    promotion: PromotionParams = PromotionParams()
    scoring: ScoringParams = ScoringParams()
    crm: CrmParams = CrmParams()
    monitor: MonitorParams = MonitorParams()
    tracking: TrackingParams = TrackingParams()

    @model_validator(mode="after")
    def _consistent(self) -> Params:
        dated = self.data.leads.created_at is not None
        if self.split.by == "time" and not dated:
            raise ValueError(
                "split.by is 'time' but data.leads.created_at is null; name the column with the creation "
                "time, or use split.by: order with data.leads.order_by, or split.by: random"
            )
        if self.split.by == "order" and self.data.leads.order_by is None:
            raise ValueError("split.by is 'order' but data.leads.order_by is null; name the column, or 'row'")
        if dated and self.data.outcomes.closed_at is None and self.snapshots.ages_days != [0]:
            raise ValueError(
                "data.outcomes.closed_at is null, so nobody can tell which leads were still open at a later "
                "age; name the column with the closing time, or set snapshots.ages_days: [0]"
            )
        if not dated and "capacity" in (self.cutoffs.mql.policy, self.cutoffs.sql.policy):
            raise ValueError(
                "cutoffs has the policy 'capacity', which counts leads a week, but data.leads.created_at is "
                "null; name the column with the creation time, or choose another policy"
            )
        if self.data.events is not None and not dated:
            raise ValueError(
                "data.events needs data.leads.created_at: without it no moment of scoring is known"
            )
        return self


def without_passwords(content: Any) -> Any:
    """Return params, or any text, without the passwords in addresses such as ``postgresql://me:pw@host``.

    Parameters
    ----------
    content : str, or lists and dicts of them
    """
    if isinstance(content, dict):
        return {key: without_passwords(value) for key, value in content.items()}
    if isinstance(content, list):
        return [without_passwords(value) for value in content]
    return _PASSWORD.sub(r"\1***@", content) if isinstance(content, str) else content


class _Loader(yaml.SafeLoader):
    """YAML in which only true and false are truth values: ``won: [yes]`` means the text "yes"."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def load_params(path: Path) -> Params:
    """Read and check a params file.

    Raises
    ------
    InputError
        The file is missing or unreadable.
    ParamsError
        It is not YAML, or a key or value is refused; every refusal is listed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; 'propensity init' writes one to start from") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} could not be read: {error}") from None
    return parse_params(text, name=str(path))


def with_files(params: Params, *, leads: str | None, events: str | None) -> Params:
    """Return params that read leads and events from other files."""
    changed: dict[str, Source] = {}
    if leads is not None:
        changed["leads"] = params.data.leads.model_copy(update={"path": leads})
    if events is not None:
        if params.data.events is None:
            raise ParamsError(
                "events were given, but params.yaml has no data.events that says how to read them"
            )
        changed["events"] = params.data.events.model_copy(update={"path": events})
    return params.model_copy(update={"data": params.data.model_copy(update=changed)})


def parse_params(text: str, *, name: str = "params.yaml") -> Params:
    """Return the checked params in `text`; `name` is how messages call it."""
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise ParamsError(hide_passwords(f"{name} is not valid YAML: {error}")) from None
    if not isinstance(content, dict):
        raise ParamsError(
            f"{name} should hold sections such as 'data:' and 'features:', "
            f"it holds {hide_passwords(repr(content))}"
        )
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        problems = "\n".join(f"  {line}" for line in _describe(error))
        raise ParamsError(hide_passwords(f"{name} is refused:\n{problems}")) from None


def _describe(error: ValidationError) -> list[str]:
    return [_describe_one(dict(problem)) for problem in error.errors(include_url=False)]


def _describe_one(problem: dict[str, Any]) -> str:
    where = [str(part) for part in problem["loc"]]
    place = ".".join(where)
    if problem["type"] == "extra_forbidden":
        known = _keys_at(where[:-1])
        hint = nearest(where[-1], known) or f"; known here: {', '.join(known)}"
        return f"{place}: unknown key{hint}"
    if problem["type"] == "missing":
        return f"{place}: this key is required"
    message = str(problem["msg"]).removeprefix("Value error, ")
    got = "" if problem["type"] == "value_error" else f", got {problem['input']!r}"
    return f"{place}: {message}{got}" if place else f"{message}{got}"


def _keys_at(where: list[str]) -> list[str]:
    """Return the known keys of the section at `where`, following the models' own fields."""
    model: type[BaseModel] = Params
    for part in where:
        field = model.model_fields.get(part)
        found = _section_in(field.annotation) if field else None
        if found is None:
            continue  # a list index or the name of a union's member
        model = found
    return [field.alias or name for name, field in model.model_fields.items()]


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _section_in(inner)
        if found is not None and found is not Database:
            return found
    return None


def _yaml_text(value: Any) -> Any:
    """YAML reads ``won: [1, true]`` as a number and a truth value; outcomes are compared as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value
