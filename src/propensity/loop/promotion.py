"""Promotion and rollback: which bundle scores every night, decided by the gate and on record."""

from __future__ import annotations

import getpass
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from propensity.bundled import needed_types
from propensity.data.files import milestone, read_json, write_json
from propensity.data.ingest import ingest
from propensity.data.sources import connect
from propensity.errors import BusyError, InputError, PromotionError
from propensity.loop.gate import (
    Check,
    check_audit,
    check_better_than_rate,
    check_calibration,
    check_comparable,
    check_enough,
    check_log_loss,
    check_recentred,
    check_slices,
    check_tiers,
    check_to_json,
    check_volumes,
    compare,
    failed,
)
from propensity.loop.handover import (
    Handover,
    follow_registry,
    hand_over,
    hand_over_locally,
    holds,
    pending,
    place_bundle,
    record_tags,
    recover,
    version_to_json,
)
from propensity.loop.unseen import find_unseen, open_tiers
from propensity.model.bundle import Bundle, read_bundle
from propensity.registry.store import Registry, changing, open_registry
from propensity.registry.versions import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Version,
    tag_version,
    version_at,
)
from propensity.workspace import Workspace, shown


@dataclass(frozen=True)
class Decision:
    """What the gate found.

    Attributes
    ----------
    verdict : {"promoted", "refused", "too few"}
    checks : list of Check
    comparison : dict or None
        Every metric of both models on the same leads, as `compare_models`; None without a champion.
    """

    verdict: str
    checks: list[Check]
    comparison: dict[str, Any] | None


def promote_challenger(ws: Workspace, *, by: str | None, force: str | None, dry_run: bool) -> str:
    """Let the challenger take the champion's place if it passes the gate; the workspace's lock is held.

    Parameters
    ----------
    ws : Workspace
    by : str, optional
        Who asks; the user of the operating system if left out.
    force : str, optional
        Why to promote whatever the gate says.
    dry_run : bool
        Say what the gate says, and leave everything as it is.

    Raises
    ------
    PromotionError
        The gate refused; that is on record.
    InputError
        There is no challenger, or the reason is too short.
    BusyError
        MLflow does not answer, or another promotion was quicker.
    """
    if force is not None and len(force.strip()) < 3:
        raise InputError("--force takes the reason, in words: it is kept in the record")
    done = recover(ws)
    registry = open_registry(ws.params.tracking, ws.folder)
    challenger, champion = version_at(registry, CHALLENGER), version_at(registry, CHAMPION)
    if challenger is None:
        raise InputError(
            f"no challenger is registered at {registry.shown}; 'propensity run track' registers one"
        )
    if champion is not None and champion.number == challenger.number:
        follow_registry(ws, registry)
        said = f"model {champion.model_version} is the champion already, so there is nothing to promote"
        return _lines(done, said)
    follow_registry(ws, registry)
    decision = decide(ws, registry, champion, challenger)
    told = tell_decision(decision, champion, challenger)
    if dry_run:
        return _lines(done, told, "nothing was changed: --dry-run")
    record = _make_record("promote", decision, champion, challenger, by, force)
    if decision.verdict != "promoted" and force is None:
        stays = "the champion stays" if champion else "no model is made the champion"
        raise PromotionError(_lines(done, told, f"{stays}; {_refuse(ws, registry, challenger, record)}"))
    change = Handover(champion, challenger, champion, _file_name(record, challenger), record)
    hand_over(ws, registry, change)
    forced = f" by force: {force}" if record["verdict"] == "forced" else ""
    said = f"model {challenger.model_version} is the champion{forced}; {shown(ws.promotions / change.name)}"
    return _lines(done, told, said)


def roll_back(ws: Workspace, *, by: str | None, reason: str | None) -> str:
    """Let the previous champion take the champion's place again; the workspace's lock is held.

    Where MLflow does not answer, the workspace is rolled back, and MLflow is told by the next command.

    Raises
    ------
    InputError
        There is no previous champion.
    BusyError
        MLflow does not answer, and the workspace alone does not know what to do.
    """
    try:
        done = recover(ws)
        registry = open_registry(ws.params.tracking, ws.folder)
        champion, previous = version_at(registry, CHAMPION), version_at(registry, PREVIOUS)
    except BusyError as error:
        return _roll_back_offline(ws, by, reason, error)
    if champion is None or previous is None:
        raise InputError("there is no previous champion to go back to")
    change = _rollback(champion, previous, by, reason)
    hand_over(ws, registry, change)
    return _lines(done, f"{_told_rollback(change)}; {shown(ws.promotions / change.name)}")


def decide(ws: Workspace, registry: Registry, champion: Version | None, challenger: Version) -> Decision:
    """Hold the challenger against the champion, on leads that neither has learned from.

    Parameters
    ----------
    ws : Workspace
        Whose tables are read anew, so that outcomes that came since the training count.
    registry : Registry
    champion : Version or None
    challenger : Version
    """
    models = _read_models(ws, registry, champion, challenger)
    audit = check_audit(challenger.tags.get("audit"))
    comparable = check_comparable(
        {name: float(made.data["horizon_days"]) for name, made in models.items()},
        {name: needed_types(made) for name, made in models.items()},
    )
    if comparable.passed is False:
        return Decision("refused", [comparable, audit], None)
    params = ws.params.promotion
    con = connect(ws.params.data, folder=ws.folder)
    canonical = _ingest(ws, con, list(models.values()))
    unseen = find_unseen(con, canonical, models, ws.processed)
    last = models[CHALLENGER]
    shifted = check_recentred(models.get(CHAMPION), last)
    enough = shifted or check_enough(unseen.rows, unseen.why, params, first=champion is None)
    milestone("promote: outcomes gathered")
    won = unseen.rows["won"].to_numpy(dtype=bool)
    groups = unseen.rows["group"].to_numpy()
    checks, comparison = [comparable, enough], None
    if champion is None and len(won):
        part = last.data["parts"]["calibrate"]
        rate = part["wins"] / part["snapshots"]
        checks.append(check_better_than_rate(won, unseen.probability[CHALLENGER], rate, groups))
    if champion is not None and enough.passed and shifted is None:
        both = unseen.probability[CHAMPION], unseen.probability[CHALLENGER]
        table = compare(won, *both, groups, seed=ws.params.model.seed)
        comparison = {str(name): row.to_dict() for name, row in table.iterrows()}
        slices = {name: unseen.rows[name] for name in unseen.slices}
        checks += [
            check_log_loss(table, params),
            check_calibration(table, params),
            check_slices(won, *both, groups, slices, params),
        ]
    if len(won):
        leads = unseen.rows["lead_id"].to_numpy()
        checks.append(
            check_volumes(leads, unseen.probability[CHALLENGER], unseen.weekly, last.cutoffs, params)
        )
    checks.append(audit)
    if champion is not None:
        checks.append(check_tiers(open_tiers(con, canonical, models), params))
    return Decision(judge(checks, first=champion is None, too_few=params.too_few), checks, comparison)


def tell_decision(decision: Decision, champion: Version | None, challenger: Version) -> str:
    """Return what the gate found as lines of text, one a check."""
    against = f"the champion, model {champion.model_version}" if champion else "no champion"
    marks = {True: "passed", False: "FAILED", None: "told"}
    lines = [f"the challenger, model {challenger.model_version}, against {against}:"]
    lines += [f"  {marks[check.passed]:<7} {check.name:<11} {check.said}" for check in decision.checks]
    return "\n".join(lines)


def judge(checks: Sequence[Check], *, first: bool, too_few: str) -> str:
    """Return what the checks come to; a first model is held against the win rate, however few leads."""
    wrong = [check.name for check in failed(checks) if check.name != "enough"]
    enough = next((check.passed for check in checks if check.name == "enough"), False)
    if wrong:
        return "refused"
    told = any(check.name == "log_loss" for check in checks) if first else bool(enough)
    return "promoted" if told or too_few == "promote" else "too few"


def _read_models(
    ws: Workspace, registry: Registry, champion: Version | None, challenger: Version
) -> dict[str, Bundle]:
    """Return the verified bundles, the champion's first."""
    threads, models = ws.params.model.threads, {}
    if champion is not None:
        models[CHAMPION] = read_bundle(ws.models / CHAMPION, threads=threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / CHALLENGER
        place_bundle(ws, registry, challenger, folder)
        return models | {CHALLENGER: read_bundle(folder, threads=threads)}


def _ingest(ws: Workspace, con: Any, models: Sequence[Bundle]) -> Any:
    """Read the raw tables anew, with what all models need."""
    types = {name: kind for made in models for name, kind in needed_types(made).items()}
    tables = {"events", "outcomes", "stages"}
    tables |= {"history"} if any(made.plan.rebuilt for made in models) else set()
    return ingest(ws.params.data, ws.folder, now=datetime.now(UTC), con=con, types=types, tables=tables)


def _refuse(ws: Workspace, registry: Registry, challenger: Version, record: dict[str, Any]) -> str:
    """Put a refusal on record, and return where."""
    path = ws.promotions / _file_name(record, challenger)
    write_json({name: value for name, value in record.items() if name != "after"}, path)
    milestone("promote: refusal written")
    with changing(registry):
        tag_version(registry, challenger.number, record_tags(record))
    return shown(path)


def _make_record(
    action: str,
    decision: Decision,
    champion: Version | None,
    challenger: Version,
    by: str | None,
    force: str | None,
) -> dict[str, Any]:
    forced = force is not None and decision.verdict != "promoted"
    wrong = failed(decision.checks)
    return {
        "action": action,
        "verdict": "forced" if forced else decision.verdict,
        "gate": decision.verdict,
        "at": _now(),
        "by": by or _user(),
        "reason": force,
        "said": "; ".join(f"{check.name}: {check.said}" for check in wrong),
        "challenger": version_to_json(challenger),
        "champion": version_to_json(champion),
        "checks": [check_to_json(check) for check in decision.checks],
        "comparison": decision.comparison,
        "after": {"champion": version_to_json(challenger), "previous": version_to_json(champion)},
    }


def _rollback(champion: Version, previous: Version, by: str | None, reason: str | None) -> Handover:
    record = {
        "action": "rollback",
        "verdict": "rolled back",
        "at": _now(),
        "by": by or _user(),
        "reason": reason,
        "from": version_to_json(champion),
        "to": version_to_json(previous),
        "after": {"champion": version_to_json(previous), "previous": version_to_json(champion)},
    }
    return Handover(champion, previous, champion, _file_name(record, previous), record)


def _roll_back_offline(ws: Workspace, by: str | None, reason: str | None, error: BusyError) -> str:
    """Roll the workspace back by what its last record says the champion and the previous one are."""
    last = pending(ws)
    if last is not None:
        raise BusyError(f"a change of the champion is not finished, and MLflow has to be asked: {error}")
    champion, previous = last_change(ws, error)
    change = _rollback(champion, previous, by, reason)
    hand_over_locally(ws, change)
    return (
        f"{_told_rollback(change)} in this workspace; MLflow does not answer, the next command tells it; "
        f"{shown(ws.promotions / change.name)}"
    )


def last_change(ws: Workspace, error: BusyError) -> tuple[Version, Version]:
    """Return the champion and the previous one, as the workspace's last record has them.

    Raises
    ------
    BusyError
        `error`, with the reason why the workspace alone does not know.
    """
    for path in sorted(ws.promotions.glob("*.json"), reverse=True):
        after = read_json(path).get("after")
        if after is None:
            continue
        if after["previous"] is None:
            break
        champion, previous = (_version(after[name]) for name in (CHAMPION, PREVIOUS))
        if holds(ws.models / CHAMPION, champion) and holds(ws.models / PREVIOUS, previous):
            return champion, previous
        break
    raise BusyError(f"{error}. Without MLflow, this workspace does not know what the previous champion is")


def _version(told: Mapping[str, Any]) -> Version:
    return Version(told["number"], told["model_version"], told["seal"], "", "", {})


def _told_rollback(change: Handover) -> str:
    before = change.expected.model_version if change.expected else "none"
    return f"model {change.champion.model_version} is the champion again, in place of {before}"


def _file_name(record: Mapping[str, Any], version: Version) -> str:
    """Return the name of a record's file: in the order of time, with what came of which model."""
    moment = re.sub(r"[^0-9T]", "", str(record["at"]).split("+")[0])
    return f"{moment}Z-{str(record['verdict']).replace(' ', '-')}-{version.model_version}.json"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container the user may have no name
        return f"user {os.getuid()}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _lines(*told: str) -> str:
    return "\n".join(text for text in told if text)
