"""The generated part of ``docs/year.md``: tables of what came of the years."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.year.drawing import NAMES
from propensity.data.files import write_text

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
SHIFTS = {
    "DeadFeed": "a feed stops (`visit`)",
    "FewerWins": "half of the wins are lost",
    "ChannelChange": "a channel changes (`referral`)",
}
WAYS = {"once": "the model trained once", "rule": "the points rule", "truth": "the truth"}
PERIODS = {
    "since DeadFeed": "since visits stopped",
    "since FewerWins": "since half of the wins are lost",
    "since ChannelChange": "since referrals changed",
}


def write_page(text: str, page: Path) -> None:
    """Put the generated text between the markers of the page."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{after}", page)


def tell_results(years: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the generated text.

    Parameters
    ----------
    years : mapping
        Name to what `bench.year.results.gather_results` returned: ``year``, and what else was lived through.
    """
    year = years["year"]
    last = year["weeks"][-1]["moment"][:10]
    parts = [
        f"Seed {year['seed']}, {year['leads']:,} leads from 2022 to 2025, of which the CRM holds those since "
        f"April 2023; weeks from {year['begins'][:10]} to {last}; {year['calls']} calls a week.",
        tell_summary(year),
        "![Wins found, alarms and decisions of the gate, week by week](year.svg)",
        "### Weeks to detection",
        tell_detections(year["detections"]),
        "### False alarms in quiet weeks",
        tell_false_alarms(years),
        "### What the gate decided",
        tell_decisions(years),
        "### Wins at the same number of calls",
        tell_wins(years),
        "### Week by week",
        tell_weeks(year["weeks"]),
    ]
    return "\n\n".join(parts)


def tell_summary(year: Mapping[str, Any]) -> str:
    """Tell in a line each what monitoring, the gate and the loop were worth."""
    counted, low_high = year["false_alarms"], year["false_alarms"]["interval"]
    lines = [
        f"- {counted['with_alarm']} of {counted['weeks']} quiet weeks had an alarm "
        f"[{low_high[0]:.0%}, {low_high[1]:.0%}]."
    ]
    for row in year["detections"]:
        lines.append(f"- {SHIFTS[row['shift']].capitalize()}: {_tell_named(row)}.")
    verdicts = [year["first"]["verdict"]]
    verdicts += [week["decision"]["verdict"] for week in year["weeks"] if week["decision"] is not None]
    lines.append(f"- The gate promoted {verdicts.count('promoted')} of {len(verdicts)} challengers.")
    whole = year["periods"][-1]["ways"]
    calls = whole[0]["calls"]
    for way in whole[1:]:
        low, high = way["expected_more_interval"]
        doubt = "" if low > 0 or high < 0 else ": they are not told apart"
        lines.append(
            f"- Of {calls} calls the loop's bring {whole[0]['expected']:.1f} expected wins, those by "
            f"{WAYS[way['way']]} {way['expected']:.1f}; the difference is "
            f"{way['expected_more']:+.1f} [{low:+.1f}, {high:+.1f}]{doubt}."
        )
    return "\n".join(lines)


def _tell_named(row: Mapping[str, Any]) -> str:
    if row["named"] is None:
        return f"not named in {row['weeks_watched']} weeks"
    weeks = row["named"]["weeks"]
    return f"named after {weeks} {'week' if weeks == 1 else 'weeks'} of {row['weeks_watched']}"


def tell_detections(found: Sequence[Mapping[str, Any]]) -> str:
    """Tell when each shift was named, and by what."""
    head = ["what is planted", "from", "named after", "by", "what it said"]
    rows = [
        [SHIFTS[row["shift"]], str(row["at"])[:10], *_tell_hit(row["named"], row["weeks_watched"])]
        for row in found
    ]
    return make_table(head, rows)


def _tell_hit(hit: Mapping[str, Any] | None, watched: int) -> list[str]:
    if hit is None:
        return [f"not in {watched} weeks", "", ""]
    weeks = "1 week" if hit["weeks"] == 1 else f"{hit['weeks']} weeks"
    subject = "" if hit["subject"] is None else f", {hit['subject']}"
    return [weeks, f"{hit['code']} {hit['check']}{subject}", hit["message"]]


def tell_false_alarms(years: Mapping[str, Mapping[str, Any]]) -> str:
    """Tell in how many quiet weeks an alarm was raised, and by which check."""
    rows = []
    for name, year in years.items():
        counted = year["false_alarms"]
        if counted["weeks"] == 0:
            continue
        low, high = counted["interval"]
        by = ", ".join(f"{check}: {n}" for check, n in counted["by_check"].items()) or "none"
        share = f"{counted['with_alarm']} of {counted['weeks']}"
        rows.append([name, str(year["seed"]), share, f"{low:.0%} to {high:.0%}", by])
    return make_table(["run", "seed", "quiet weeks with an alarm", "95% interval", "alarms by check"], rows)


def tell_decisions(years: Mapping[str, Mapping[str, Any]]) -> str:
    """Tell what the gate said each month, with the figures it went by."""
    head = ["run", "month", "verdict", "log-loss, challenger less champion", "on", "tier changes", "why not"]
    rows = []
    for name, year in years.items():
        decided = [(1, year["first"])]
        decided += [(w["month"], w["decision"]) for w in year["weeks"] if w["decision"] is not None]
        rows += [[name, str(month), *_tell_decision(decision)] for month, decision in decided]
    return make_table(head, rows)


def _tell_decision(decision: Mapping[str, Any]) -> list[str]:
    checks = {check["name"]: check for check in decision["checks"]}
    enough = checks.get("enough", {}).get("figures", {})
    loss = (decision["comparison"] or {}).get("log_loss")
    difference = ""
    if loss is not None:
        difference = f"{loss['difference']:+.4f} [{loss['low']:+.4f}, {loss['high']:+.4f}]"
    counted = f"{enough['leads']:,} leads, {enough['wins']:,} wins" if enough else ""
    tiers = checks.get("tiers", {}).get("figures", {}).get("share")
    why = decision["reason"] if decision["verdict"] == "forced" else decision["said"]
    return [decision["verdict"], difference, counted, "" if tiers is None else f"{tiers:.1%}", why]


def tell_wins(years: Mapping[str, Mapping[str, Any]]) -> str:
    """Tell the wins found by each way of choosing whom to call, and the loop's lead with its interval."""
    head = ["run", "weeks", "calls by", "won", "expected", "the loop expects more by", "and found more by"]
    rows = []
    for name, year in years.items():
        for period in year["periods"]:
            weeks = f"{period['weeks'][0]} to {period['weeks'][1]}, {name_period(period)}"
            for way in period["ways"]:
                cells = [name, weeks, NAMES[way["way"]], str(way["won"]), f"{way['expected']:.1f}"]
                rows.append([*cells, *(_tell_more(way, more) for more in ("expected_more", "won_more"))])
    return make_table(head, rows)


def name_period(period: Mapping[str, Any]) -> str:
    """Return a period's name, such as "since visits stopped"."""
    return PERIODS.get(period["period"], str(period["period"]))


def _tell_more(way: Mapping[str, Any], name: str) -> str:
    if name not in way:
        return ""
    low, high = way[f"{name}_interval"]
    return f"{way[name]:+.1f} [{low:+.1f}, {high:+.1f}]"


def tell_weeks(weeks: Sequence[Mapping[str, Any]]) -> str:
    """Tell each week: what had been planted, what the monitor said, what the gate decided."""
    rows = []
    for week in weeks:
        said: dict[str, list[str]] = {}
        for alarm in week["alarms"]:
            said.setdefault(f"{alarm['code']} {alarm['check']}", []).append(str(alarm["subject"] or ""))
        told = "; ".join(f"{check} ({_few(subjects)})" for check, subjects in said.items()) or "quiet"
        decision = "" if week["decision"] is None else week["decision"]["verdict"]
        rows.append(
            [
                str(week["week"]),
                week["moment"][:10],
                str(len(week["planted"])),
                str(week["open"]),
                week["model_version"],
                told,
                decision,
            ]
        )
    head = ["week", "scored", "shifts so far", "open leads", "model", "the monitor said", "the gate"]
    return make_table(head, rows)


def _few(subjects: Sequence[str]) -> str:
    named = [subject for subject in subjects if subject] or ["as a whole"]
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return ", ".join(named[:3]) + more


def make_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)
