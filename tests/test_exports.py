"""Recognising a CRM's export by its header, and what each of its columns is."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest

from propensity.intake.exports import Export, recognise
from propensity.params import OutcomesParams

DATA = Path(__file__).parents[2] / "shared" / "data"

HUBSPOT_CONTACTS = """\
Record ID,First Name,Last Name,Email,Contact owner,Lead Status,Lifecycle Stage,Create Date,\
Became a Customer Date,\
Original Traffic Source,Associated Company IDs,Number of Pageviews,Last Activity Date,Recent Deal Amount
151,Ada,Byron,ada@example.org,Jo Field,Open deal,Customer,2024-01-03 10:11,2024-02-20 09:00,\
Organic Search,9001,12,\
2024-02-21 08:00,5400
152,Max,Born,max@example.org,,Unqualified,Lead,2024-01-04 08:30,,Paid Search,9002,2,2024-01-05 09:00,
"""
HUBSPOT_CONTACTS_API = """\
hs_object_id,email,jobtitle,lifecyclestage,hs_lead_status,createdate,hs_lifecyclestage_customer_date,\
hs_analytics_source,associatedcompanyid,num_associated_deals,hubspot_owner_id,recent_deal_amount
151,ada@example.org,CTO,customer,OPEN_DEAL,2024-01-03T10:11:00Z,2024-02-20T09:00:00Z,ORGANIC_SEARCH,\
9001,1,77,5400
"""
HUBSPOT_DEALS = """\
Record ID,Deal Name,Deal Stage,Close Date,Deal owner,Amount,Create Date,Deal Type,Closed Lost Reason,\
Associated Company IDs
7,Byron Ltd,Closed Won,2024-02-20 09:00,Jo Field,5400,2024-01-10 12:00,newbusiness,,9001
"""
HUBSPOT_DEALS_API = """\
hs_object_id,dealname,dealstage,pipeline,closedate,amount,createdate,dealtype,closed_lost_reason,\
hs_is_closed_won
7,Byron Ltd,closedwon,default,2024-02-20T09:00:00Z,5400,2024-01-10T12:00:00Z,newbusiness,,true
"""
SALESFORCE_LEADS = """\
Lead ID,Lead Owner,First Name,Last Name,Title,Company / Account,Lead Source,Rating,Lead Status,\
Converted,Create Date,Converted Date
00Q1,Jo Field,Ada,Byron,CTO,Byron Ltd,Web,Hot,Closed - Converted,1,2024-01-03,2024-02-20
00Q2,Jo Field,Max,Born,CEO,Born AG,Web,Cold,Closed - Not Converted,0,2024-01-04,
"""
SALESFORCE_LEADS_API = """\
Id,LastName,Company,LeadSource,Status,IsConverted,ConvertedDate,ConvertedOpportunityId,CreatedDate,\
OwnerId,LastActivityDate
00Q1,Byron,Byron Ltd,Web,Closed - Converted,true,2024-02-20,0061,2024-01-03T10:11:00.000Z,0051,2024-02-21
"""
SALESFORCE_OPPORTUNITIES = """\
Opportunity ID,Opportunity Name,Account Name,Stage,Close Date,Amount,Probability (%),Created Date,\
Lead Source,Opportunity Owner
0061,Byron Ltd,Byron Ltd,Closed Won,2024-02-20,5400,100,2024-01-10,Web,Jo Field
"""
SALESFORCE_OPPORTUNITIES_API = """\
Id,AccountId,Name,StageName,Amount,CloseDate,IsClosed,IsWon,ForecastCategoryName,LeadSource,CreatedDate
0061,0011,Byron Ltd,Closed Won,5400,2024-02-20,true,true,Closed,Web,2024-01-10T12:00:00.000Z
"""
DYNAMICS_LEADS = """\
(Do Not Modify) Lead,(Do Not Modify) Row Checksum,(Do Not Modify) Modified On,Name,Topic,Company Name,\
Lead Source,Status,Status Reason,Created On
5f1,x==,2024-02-20 09:00,Ada Byron,Server,Byron Ltd,Web,Qualified,Qualified,2024-01-03 10:11
"""
DYNAMICS_LEADS_API = """\
leadid,subject,companyname,leadsourcecode,statecode,statuscode,createdon,_qualifyingopportunityid_value,\
estimatedvalue
5f1,Server,Byron Ltd,8,1,3,2024-01-03T10:11:00Z,77a,5400
"""
ODOO = """\
External ID,Opportunity,Company Name,Salesperson,Sales Team,Stage,Expected Revenue,Created on,\
Closed Date,Lost Reason,Source
crm_lead_1,Server,Byron Ltd,Jo Field,Europe,Won,5400,2024-01-03 10:11:00,2024-02-20 09:00:00,,Web
"""
ODOO_API = """\
id,name,partner_name,user_id/id,team_id/id,stage_id/id,won_status,expected_revenue,create_date,\
date_closed,lost_reason_id/id,source_id/id
crm_lead_1,Server,Byron Ltd,u1,t1,stage_won,won,5400,2024-01-03 10:11:00,2024-02-20 09:00:00,,utm.source_web
"""
PIPEDRIVE_DEALS = """\
Deal - ID,Deal - Title,Deal - Organization,Deal - Value,Deal - Status,Deal - Stage,Deal - Owner,\
Deal - Deal created,Deal - Won time,Deal - Lost time,Deal - Deal closed on,Deal - Lost reason,\
Deal - Source channel
7,Server,Byron Ltd,5400,Won,Offer,Jo Field,2024-01-10 12:00:00,2024-02-20 09:00:00,,2024-02-20 09:00:00,,Web
"""
PIPEDRIVE_DEALS_API = """\
id,title,org_id,value,status,stage_id,add_time,won_time,lost_time,close_time,lost_reason,channel
7,Server,9001,5400,won,3,2024-01-10 12:00:00,2024-02-20 09:00:00,,2024-02-20 09:00:00,,4
"""
PIPEDRIVE_LEADS = """\
Lead - ID,Lead - Title,Lead - Organization,Lead - Value,Lead - Label,Lead - Owner,Lead - Lead created,\
Lead - Source
adf2,Server,Byron Ltd,5400,Hot,Jo Field,2024-01-03 10:11:00,Web forms
"""
PIPEDRIVE_LEADS_API = """\
id,title,owner_id,label_ids,person_id,organization_id,source_name,is_archived,was_seen,value,add_time
adf2,Server,1,f08b,9,9001,API,false,true,5400,2024-01-03T10:11:00Z
"""

# Text, vendor, table, status column, closed_at column; the first row of each was won.
EXPORTS = [
    (HUBSPOT_CONTACTS, "HubSpot", "contacts", "Lifecycle Stage", "Became a Customer Date"),
    (HUBSPOT_CONTACTS_API, "HubSpot", "contacts", "lifecyclestage", "hs_lifecyclestage_customer_date"),
    (HUBSPOT_DEALS, "HubSpot", "deals", "Deal Stage", "Close Date"),
    (HUBSPOT_DEALS_API, "HubSpot", "deals", "dealstage", "closedate"),
    (SALESFORCE_LEADS, "Salesforce", "leads", "Lead Status", "Converted Date"),
    (SALESFORCE_LEADS_API, "Salesforce", "leads", "Status", "ConvertedDate"),
    (SALESFORCE_OPPORTUNITIES, "Salesforce", "opportunities", "Stage", "Close Date"),
    (SALESFORCE_OPPORTUNITIES_API, "Salesforce", "opportunities", "StageName", "CloseDate"),
    (DYNAMICS_LEADS, "Dynamics 365", "leads", "Status", None),
    (DYNAMICS_LEADS_API, "Dynamics 365", "leads", "statecode", None),
    (ODOO, "Odoo", "leads and opportunities", "Stage", "Closed Date"),
    (ODOO_API, "Odoo", "leads and opportunities", "won_status", "date_closed"),
    (PIPEDRIVE_DEALS, "Pipedrive", "deals", "Deal - Status", "Deal - Deal closed on"),
    (PIPEDRIVE_DEALS_API, "Pipedrive", "deals", "status", "close_time"),
]


def first_row(text: str) -> dict[str, str]:
    return next(csv.DictReader(io.StringIO(text)))


def export_of(text: str) -> Export:
    found = recognise(list(first_row(text)))
    assert found is not None
    return found


@pytest.mark.parametrize(("text", "vendor", "table", "status", "closed_at"), EXPORTS)
def test_an_export_is_recognised_with_its_outcome(
    text: str, vendor: str, table: str, status: str, closed_at: str | None
) -> None:
    found, row = export_of(text), first_row(text)
    assert (found.vendor, found.table) == (vendor, table)
    assert (found.roles["status"], found.roles.get("closed_at")) == (status, closed_at)
    assert row[status].lower() in {value.lower() for value in found.status_won}


@pytest.mark.parametrize("text", [case[0] for case in EXPORTS])
def test_what_was_recognised_can_stand_in_params(text: str) -> None:
    found = export_of(text)
    roles = {role: found.roles.get(role) for role in ("lead_id", "status", "closed_at", "amount", "reason")}
    params = OutcomesParams.model_validate({**roles, "won": found.status_won, "lost": found.status_lost})
    assert params.status == found.roles["status"]


@pytest.mark.parametrize("text", [case[0] for case in EXPORTS] + [PIPEDRIVE_LEADS, PIPEDRIVE_LEADS_API])
def test_every_role_is_a_column_and_each_export_names_lead_and_creation(text: str) -> None:
    found, row = export_of(text), first_row(text)
    assert {"lead_id", "created_at"} <= set(found.roles)
    assert set(found.roles.values()) <= set(row)
    assert row[found.roles["lead_id"]] in {"151", "7", "00Q1", "0061", "5f1", "crm_lead_1", "adf2"}
    assert row[found.roles["created_at"]].startswith("2024-01-")


def test_all_roles_of_a_deals_export_are_found() -> None:
    assert export_of(PIPEDRIVE_DEALS).roles == {
        "lead_id": "Deal - ID",
        "created_at": "Deal - Deal created",
        "account_id": "Deal - Organization",
        "channel": "Deal - Source channel",
        "status": "Deal - Status",
        "closed_at": "Deal - Deal closed on",
        "amount": "Deal - Value",
        "reason": "Deal - Lost reason",
    }


@pytest.mark.parametrize("text", [SALESFORCE_LEADS, HUBSPOT_CONTACTS])
def test_lost_leads_without_a_date_stay_open(text: str) -> None:
    """A lost status without its date would be refused row by row."""
    found = export_of(text)
    assert found.status_lost == []
    assert "closed_at" in found.roles
    assert "lost" in found.evidence
    assert "open" in found.evidence


def test_statuses_count_as_lost_where_no_outcome_is_dated() -> None:
    header = [column for column in first_row(SALESFORCE_LEADS) if column != "Converted Date"]
    found = recognise(header)
    assert found is not None
    assert found.status_lost == ["Closed - Not Converted", "Unqualified"]
    assert "closed_at" not in found.roles
    assert "no date of the outcome" in found.evidence


def test_without_a_common_date_a_pipedrive_deal_is_dated_by_its_win() -> None:
    header = [column for column in first_row(PIPEDRIVE_DEALS) if column != "Deal - Deal closed on"]
    found = recognise(header)
    assert found is not None
    assert (found.roles["closed_at"], found.status_lost) == ("Deal - Won time", [])
    assert "no date of loss" in found.evidence


@pytest.mark.parametrize("text", [PIPEDRIVE_LEADS, PIPEDRIVE_LEADS_API])
def test_pipedrive_leads_have_no_outcome(text: str) -> None:
    found = export_of(text)
    assert (found.vendor, found.table, found.status_won) == ("Pipedrive", "leads", [])
    assert "status" not in found.roles
    assert "export of deals" in found.evidence


def test_capitals_and_spaces_at_the_ends_do_not_matter() -> None:
    found = recognise(["\ufeffrecord id ", "LIFECYCLE STAGE", "Lead status", "create date"])
    assert found is not None
    assert found.roles["lead_id"] == "\ufeffrecord id "


def test_two_telling_columns_are_too_few() -> None:
    assert recognise(["Lifecycle Stage", "Lead Status", "Email", "id", "status"]) is None
    assert recognise(["Lifecycle Stage", "Lead Status", "Contact owner"]) is not None


@pytest.mark.parametrize(
    "header",
    [
        [],
        ["id", "status", "created_at", "closed_at", "amount", "owner"],
        ["lead_id", "deal_stage", "close_date", "deal_amount", "last_activity_date", "lifecycle_stage"],
    ],
)
def test_a_file_of_ones_own_is_no_vendors(header: list[str]) -> None:
    assert recognise(header) is None


@pytest.mark.skipif(not DATA.exists(), reason="the public data sets are not here")
@pytest.mark.parametrize(
    "folder", ["bpic2012", "x_education", "uci_bank_marketing", "uci_online_shoppers", "maven_crm_sales"]
)
def test_public_data_sets_are_no_vendors_exports(folder: str) -> None:
    files = [path for path in sorted((DATA / folder).iterdir()) if ".csv" in path.suffixes]
    assert files
    for path in files:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8-sig") as file:
            line = file.readline()
        header = next(csv.reader([line], delimiter=";" if line.count(";") > line.count(",") else ","))
        assert recognise(header) is None, path.name
