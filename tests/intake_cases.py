"""What the tests of the intake share: files as strangers bring them, and exports as CRMs make them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from propensity.data.sources import connect
from propensity.intake.reading import Table, read_table
from propensity.params import DataParams, OutcomesParams

START = datetime(2022, 1, 3, 9, 0)
END = datetime(2023, 12, 31, 12, 0)
SOURCES = ("Web form", "Referral", "Trade fair", "Cold list")
CHANCES = (0.35, 0.75, 0.45, 0.1)
INDUSTRIES = ("Retail", "Energy", "Software", "Health")


def write_rows(
    path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]], delimiter: str = ","
) -> Path:
    """Write a delimited file."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


@cache
def engine() -> Any:
    """Return the engine that all files of a test stand in."""
    return connect(DataParams(outcomes=OutcomesParams(won=["won"])))


def table_from(
    folder: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]], name: str = "leads"
) -> Table:
    """Return a file of the given rows, read and profiled."""
    path = write_rows(folder / f"{name}.csv", columns, rows)
    return read_table(engine(), path, folder, name)  # type: ignore[arg-type]


def world(n: int = 700, seed: int = 11) -> list[dict[str, Any]]:
    """Return leads of a small seller: the source tells the outcome in part, the rest is chance.

    A lead closes after a month or so; those that came late are open at the end of the data.
    """
    rng = np.random.default_rng(seed)
    span = (END - START).total_seconds()
    leads = []
    for i, share in enumerate(np.sort(rng.random(n))):
        created = START + timedelta(seconds=float(share) * span)
        source = int(rng.integers(len(SOURCES)))
        closed = created + timedelta(days=float(rng.gamma(2.0, 12.0)) + 0.1)
        won = bool(rng.random() < CHANCES[source])
        ended = closed < END
        leads.append(
            {
                "i": i,
                "created": created,
                "source": SOURCES[source],
                "industry": INDUSTRIES[int(rng.integers(len(INDUSTRIES)))],
                "employees": int(rng.integers(5, 500)),
                "company": f"Company {int(rng.integers(n // 2)):04d}",
                "owner": f"Rep {int(rng.integers(6))}",
                "amount": int(rng.integers(10, 90)) * 100,
                "closed": closed if ended else None,
                "status": ("won" if won else "lost") if ended else "open",
                "reason": ("Price", "Timing")[int(rng.integers(2))] if ended and not won else "",
            }
        )
    return leads


def _at(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def _plain(won: str, lost: str, opened: str) -> dict[str, str]:
    return {"won": won, "lost": lost, "open": opened}


def hubspot(lead: dict[str, Any]) -> dict[str, Any]:
    """Return a row of HubSpot's export of deals."""
    stage = _plain("Closed Won", "Closed Lost", "Decision Maker Bought-In")[lead["status"]]
    return {
        "Record ID": 9_000_000_000 + 37 * lead["i"],
        "Deal Name": f"Deal with {lead['company']} no. {lead['i']}",
        "Deal Stage": stage,
        "Create Date": _at(lead["created"]),
        "Close Date": _at(lead["closed"] or lead["created"] + timedelta(days=60)),
        "Amount": lead["amount"],
        "Deal owner": lead["owner"],
        "Original Traffic Source": lead["source"],
        "Industry": lead["industry"],
        "Number of Employees": lead["employees"],
        "Is Closed Won": str(lead["status"] == "won").lower(),
        "Closed Lost Reason": lead["reason"],
        "Associated Company IDs": 500 + int(lead["company"][-4:]),
    }


def salesforce(lead: dict[str, Any]) -> dict[str, Any]:
    """Return a row of Salesforce's opportunities by the API's names."""
    stage = _plain("Closed Won", "Closed Lost", "Negotiation/Review")[lead["status"]]
    return {
        "Id": f"0065g00000{lead['i']:05d}AAB",
        "AccountId": f"0015g00000{lead['company'][-4:]}AAD",
        "Name": f"Opportunity {lead['i']}",
        "StageName": stage,
        "Amount": lead["amount"],
        "Probability": _plain("100", "0", "60")[lead["status"]],
        "CloseDate": f"{lead['closed'] or lead['created'] + timedelta(days=90):%Y-%m-%d}",
        "LeadSource": lead["source"],
        "IsClosed": str(lead["status"] != "open").lower(),
        "IsWon": str(lead["status"] == "won").lower(),
        "ForecastCategory": _plain("Closed", "Omitted", "Pipeline")[lead["status"]],
        "CreatedDate": f"{lead['created'] - timedelta(days=1):%Y-%m-%dT%H:%M:%S.000Z}",
        "Industry__c": lead["industry"],
        "Employees__c": lead["employees"],
    }


def dynamics(lead: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the leads of Dynamics 365: no time of closing."""
    return {
        "(Do Not Modify) Lead": f"{lead['i']:08x}-77aa-ee11-9ae7-000d3a{lead['i'] * 7919 % 999_983:06d}",
        "(Do Not Modify) Row Checksum": f"chk{lead['i'] * 104_729 % 999_983:06d}",
        "Topic": f"Interested in offer {lead['i']}",
        "Status": _plain("Qualified", "Disqualified", "Open")[lead["status"]],
        "Status Reason": _plain("Qualified", "Lost", "New")[lead["status"]],
        "Created On": _at(lead["created"]),
        "Lead Source": lead["source"],
        "Industry": lead["industry"],
        "No. of Employees": lead["employees"],
        "Company Name": lead["company"],
    }


def odoo(lead: dict[str, Any]) -> dict[str, Any]:
    """Return a row of Odoo's pipeline by the API's names."""
    return {
        "id": lead["i"] + 1,
        "name": f"Opportunity of {lead['company']} {lead['i']}",
        "stage_id": _plain("Won", "Lost", "Proposition")[lead["status"]],
        "create_date": f"{lead['created']:%Y-%m-%d %H:%M:%S}",
        "date_closed": "" if lead["closed"] is None else f"{lead['closed']:%Y-%m-%d %H:%M:%S}",
        "expected_revenue": lead["amount"],
        "probability": _plain("100", "0", "42.5")[lead["status"]],
        "lost_reason_id": lead["reason"],
        "source_id": lead["source"],
        "partner_name": lead["company"],
        "x_industry": lead["industry"],
        "x_employees": lead["employees"],
    }


def pipedrive(lead: dict[str, Any]) -> dict[str, Any]:
    """Return a row of Pipedrive's export of deals."""
    return {
        "Deal - ID": lead["i"] + 1,
        "Deal - Title": f"{lead['company']} deal {lead['i']}",
        "Deal - Status": _plain("Won", "Lost", "Open")[lead["status"]],
        "Deal - Deal created": f"{lead['created']:%Y-%m-%d %H:%M:%S}",
        "Deal - Deal closed on": "" if lead["closed"] is None else f"{lead['closed']:%Y-%m-%d %H:%M:%S}",
        "Deal - Value": lead["amount"],
        "Deal - Lost reason": lead["reason"],
        "Deal - Organization": lead["company"],
        "Deal - Source channel": lead["source"],
        "Organization - Industry": lead["industry"],
        "Organization - Employee count": lead["employees"],
    }


VENDORS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "HubSpot": hubspot,
    "Salesforce": salesforce,
    "Dynamics": dynamics,
    "Odoo": odoo,
    "Pipedrive": pipedrive,
}


def write_export(path: Path, vendor: str, n: int = 700) -> Path:
    """Write a vendor's export of the small seller's leads."""
    rows = [VENDORS[vendor](lead) for lead in world(n)]
    return write_rows(path, list(rows[0]), [list(row.values()) for row in rows])
