"""Checks of column names: which a CRM fills in because of the outcome, as a stage, or overwrites."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from propensity.audit.findings import Check, Finding, overrule
from propensity.audit.names import CHECKS
from propensity.audit.records import Records
from propensity.audit.vendors import known_field
from propensity.params import Overruling

CHECK = {check.code: check for check in CHECKS}
STATUS = ["won", "won", "lost", "open"]

# Vendor, kind, the label an export shows, the API's name.
FIELDS = [
    ("HubSpot", "outcome", "Became a Customer Date", "hs_lifecyclestage_customer_date"),
    ("HubSpot", "outcome", "Number of Associated Deals", "num_associated_deals"),
    ("HubSpot", "outcome", "Recent Deal Amount", "recent_deal_amount"),
    ("HubSpot", "outcome", "Total Revenue", "total_revenue"),
    ("HubSpot", "outcome", "Close Date", "closedate"),
    ("HubSpot", "outcome", "Days to close", "days_to_close"),
    ("HubSpot", "outcome", "Is Closed Won", "hs_is_closed_won"),
    ("HubSpot", "outcome", "Closed Lost Reason", "closed_lost_reason"),
    ("HubSpot", "outcome", "Deal probability", "hs_deal_stage_probability"),
    ("HubSpot", "stage", "Lifecycle Stage", "lifecyclestage"),
    ("HubSpot", "stage", "Lead Status", "hs_lead_status"),
    ("HubSpot", "stage", "Became a Sales Qualified Lead Date", "hs_lifecyclestage_salesqualifiedlead_date"),
    ("HubSpot", "changing", "HubSpot Score", "hubspotscore"),
    ("HubSpot", "changing", "Likelihood to close", "hs_predictivecontactscore_v2"),
    ("HubSpot", "changing", "Last Activity Date", "notes_last_updated"),
    ("HubSpot", "changing", "Number of times contacted", "num_contacted_notes"),
    ("HubSpot", "changing", "Contact owner", "hubspot_owner_id"),
    ("HubSpot", "changing", "Recent Conversion Date", "recent_conversion_date"),
    ("Salesforce", "outcome", "Converted", "IsConverted"),
    ("Salesforce", "outcome", "Converted Opportunity", "ConvertedOpportunityId"),
    ("Salesforce", "outcome", "Forecast Category", "ForecastCategoryName"),
    ("Salesforce", "outcome", "Expected Revenue", "ExpectedRevenue"),
    ("Salesforce", "stage", "Stage", "StageName"),
    ("Salesforce", "stage", "Last Stage Change Date", "LastStageChangeDate"),
    ("Salesforce", "changing", "Rating", "Rating"),
    ("Salesforce", "changing", "Next Step", "NextStep"),
    ("Salesforce", "changing", "Last Activity", "LastActivityDate"),
    ("Salesforce", "changing", "Pardot Score", "pi__score__c"),
    ("Dynamics 365", "outcome", "Status Reason", "statuscode"),
    ("Dynamics 365", "outcome", "Qualifying Opportunity", "_qualifyingopportunityid_value"),
    ("Dynamics 365", "outcome", "Actual Close Date", "actualclosedate"),
    ("Dynamics 365", "stage", "Pipeline Phase", "stepname"),
    ("Dynamics 365", "changing", "Lead Grade", "msdyn_leadgrade"),
    ("Dynamics 365", "changing", "Modified On", "modifiedon"),
    ("Odoo", "outcome", "Closed Date", "date_closed"),
    ("Odoo", "outcome", "Lost Reason", "lost_reason_id/id"),
    ("Odoo", "outcome", "Days to Close", "day_close"),
    ("Odoo", "stage", "Last Stage Update", "date_last_stage_update"),
    ("Odoo", "changing", "Automated Probability", "automated_probability"),
    ("Odoo", "changing", "Tags", "tag_ids/id"),
    ("Marketo", "changing", "Lead Score", "leadScore"),
    ("Marketo", "changing", "Last Interesting Moment Date", "mkto_si__Last_Interesting_Moment_Date__c"),
    ("Marketo", "stage", "Lead Status", "leadStatus"),
    ("Pipedrive", "outcome", "Deal - Won time", "won_time"),
    ("Pipedrive", "outcome", "Deal - Deal closed on", "close_time"),
    ("Pipedrive", "outcome", "Deal - Lost reason", "lost_reason"),
    ("Pipedrive", "stage", "Deal - Last stage change", "stage_change_time"),
    ("Pipedrive", "changing", "Deal - Done activities", "done_activities_count"),
    ("LeadSquared", "stage", "Lead Stage", "ProspectStage"),
    ("LeadSquared", "changing", "Last Activity Date", "ProspectActivityDate_Max"),
    ("Zoho CRM", "changing", "Last Activity Time", "Last_Activity_Time"),
]

NEAR_OUTCOME = """
closed_on; close_value; close_date; lost_reason_code; deal_amount; became_customer_at; is_won; dealAmount;
win_probability; expected_close_date; first_payment_date; num_deals; reason_for_loss
"""
NEAR_STAGE = """
lifecycle_stage; deal_stage; pipeline_stage; lead_status; sales_stage; time_in_stage; stage_entered_at;
hs_v2_date_entered_249514588; hs_time_in_opportunity
"""
NEAR_CHANGING = """
last_activity; last_notable_activity; LAST_ACTIVITY_DATE; lead_rating; next_step; last_contacted_at;
lead_owner; assigned_to; num_calls; engagement_score; updated_at; days_since_last_visit; lead_notes
"""
HONEST = """
age; job; marital; education; default; housing; loan; contact; month; day_of_week; duration; campaign;
pdays; previous; poutcome; emp.var.rate; cons.price.idx; nr.employed; Administrative_Duration;
ProductRelated; BounceRates; ExitRates; PageValues; SpecialDay; OperatingSystems; Region; TrafficType;
VisitorType; Weekend; amount_req; sales_agent; product; account; industry; employees; seniority;
first_offer; email_domain; job_title; sector; subsidiary_of; engage_date; Country; Specialization; Search;
Newspaper; City; TotalVisits; Lead Origin; Lead Source; Do Not Email; Total Time Spent on Website; Page
Views Per Visit; What is your current occupation; Receive More Updates About Our Courses; Lead Number;
Update me on Supply Chain Content; Get updates on DM Content; Original Source; First Conversion; First
Conversion Date; Create Date; Annual Revenue; annual revenue of the company; Last Name; number of
employees; status of marriage; marital status; credit rating; home stage; campaign name; Company Owner;
home owner; employment status; funding stage; life stage; credit score; test score; Deal Name; Contact
Type; property status; time in business; closest store; contract type; preferred contact time;
State/Region; Customer; user_id
"""


def names_in(block: str) -> list[str]:
    return [" ".join(name.split()) for name in block.split(";")]


def records_with(
    columns: dict[str, list[Any]], *, used: bool = True, tracked: tuple[str, ...] = ()
) -> Records:
    leads = pd.DataFrame({"lead_id": ["a", "b", "c", "d"], "status": STATUS, "created_at": None, **columns})
    return Records(
        leads=leads,
        attributes=dict.fromkeys(columns, "text"),
        snapshots=pd.DataFrame(),
        table=pd.DataFrame(),
        used=frozenset(columns if used else ()),
        tracked=frozenset(tracked),
    )


def look(code: str, records: Records) -> list[Finding]:
    check: Check = CHECK[code]
    return check.look(check, records)


@pytest.mark.parametrize(("vendor", "kind", "label", "name"), FIELDS)
def test_a_field_is_known_by_its_label_and_by_its_api_name(
    vendor: str, kind: str, label: str, name: str
) -> None:
    for spelling in (label, name, label.upper(), label.lower().replace(" ", "_")):
        found = known_field(spelling)
        assert found is not None, spelling
        assert (found.kind, vendor in found.vendor) == (kind, True), spelling


@pytest.mark.parametrize(
    ("kind", "name"),
    [("outcome", name) for name in names_in(NEAR_OUTCOME)]
    + [("stage", name) for name in names_in(NEAR_STAGE)]
    + [("changing", name) for name in names_in(NEAR_CHANGING)],
)
def test_a_name_that_no_vendor_ships_is_read_by_its_words(kind: str, name: str) -> None:
    found = known_field(name)
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize("prefix", ["Deal - ", "Lead: ", "hs_", "Contact ", "Opportunity "])
def test_what_a_field_belongs_to_makes_no_difference(prefix: str) -> None:
    found = known_field(f"{prefix}lost_reason__c")
    assert found is not None
    assert found.kind == "outcome"


@pytest.mark.parametrize("name", names_in(HONEST))
def test_an_honest_name_is_none_of_them(name: str) -> None:
    assert known_field(name) is None


def test_a_field_filled_in_by_the_outcome_stops_a_run_that_uses_it() -> None:
    records = records_with({"Close Date": ["2024-01-01", "2024-02-01", "2024-03-01", None], "age": ["1"] * 4})
    (found,) = look("PRP101", records)
    assert (found.result, found.severity, found.subject) == ("issue", "blocking", "Close Date")
    assert found.evidence == {
        "field": "Close Date",
        "vendor": "HubSpot, Salesforce",
        "meaning": "when the deal closed or the contact became a customer",
        "filled_won": 2,
        "won": 2,
        "filled_not_won": 1,
        "not_won": 2,
        "share_won": 1.0,
        "share_not_won": 0.5,
    }
    assert "2 of 2 won leads (100.0%) and in 1 of 2 others (50.0%)" in found.message
    assert "{check: PRP101, subject: 'Close Date', reason: ...}" in found.remedy


def test_a_field_that_the_model_does_not_use_is_a_note() -> None:
    (found,) = look("PRP101", records_with({"deal_amount": ["1", "2", None, None]}, used=False))
    assert (found.result, found.severity) == ("issue", "note")
    assert found.message.startswith("'deal_amount' is the field 'Amount' of HubSpot, Salesforce")


def test_no_field_of_the_outcome_passes_with_the_number_of_columns() -> None:
    (found,) = look("PRP101", records_with({"age": ["1"] * 4, "lead_status": ["x"] * 4}))
    assert (found.result, found.evidence) == ("passed", {"columns": 2, "rebuilt": []})


def test_a_stage_cannot_be_overruled() -> None:
    findings = look("PRP102", records_with({"lifecycle_stage": ["customer", "customer", None, "lead"]}))
    allow = [Overruling(check="PRP102", subject="lifecycle_stage", reason="we like it")]
    (found,) = overrule(findings, allow, fixed=[check.code for check in CHECKS if not check.overrulable])
    assert (found.result, found.severity, found.evidence["share_not_won"]) == ("issue", "blocking", 0.5)
    assert "data.stages" in found.remedy
    assert "features.allow" not in found.remedy


def test_a_stage_of_something_else_is_no_stage() -> None:
    (found,) = look("PRP102", records_with({"home stage": ["1"] * 4}))
    assert (found.result, found.evidence["columns"]) == ("passed", 1)


def test_an_overwritten_field_is_named_with_what_it_holds() -> None:
    (found,) = look("PRP103", records_with({"Last Notable Activity": ["call", None, "mail", "mail"]}))
    assert (found.result, found.evidence["vendor"]) == ("issue", "LeadSquared")
    assert (found.evidence["filled_won"], found.evidence["filled_not_won"]) == (1, 2)
    assert "{check: PRP103, subject: 'Last Notable Activity', reason: ...}" in found.remedy


def test_an_overwritten_field_rebuilt_from_history_raises_nothing() -> None:
    (found,) = look("PRP103", records_with({"lead_rating": ["hot"] * 4}, tracked=("lead_rating",)))
    assert (found.result, found.evidence) == ("passed", {"columns": 1, "rebuilt": ["lead_rating"]})
    assert "rebuilt from history: lead_rating" in found.message


def test_history_of_one_field_does_not_excuse_another() -> None:
    columns = {"lead_rating": ["hot"] * 4, "next_step": ["call"] * 4}
    (found,) = look("PRP103", records_with(columns, tracked=("lead_rating",)))
    assert (found.result, found.subject) == ("issue", "next_step")


@pytest.mark.parametrize("code", sorted(CHECK))
def test_leads_without_attributes_have_nothing_to_look_at(code: str) -> None:
    assert [found.result for found in look(code, records_with({}))] == ["not applicable"]


def test_a_share_of_no_leads_is_null() -> None:
    records = records_with({"close_date": [None] * 4})
    records.leads["status"] = "open"
    (found,) = look("PRP101", records)
    assert (found.evidence["won"], found.evidence["share_won"], found.evidence["share_not_won"]) == (
        0,
        None,
        0.0,
    )
