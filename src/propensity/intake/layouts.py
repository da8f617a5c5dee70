"""The exports that CRMs make: their telling columns, what plays which role, where the outcome stands.

Names are those of HubSpot's contact and deal properties, Salesforce's Lead and Opportunity, the Dynamics 365
lead, Odoo's ``crm.lead`` and Pipedrive's deals and leads, each as an export's label and as the API's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["lead_id", "created_at", "account_id", "channel", "status", "closed_at", "amount", "reason"]


@dataclass(frozen=True)
class Status:
    """A way to read the outcome: the status column, its values, and the columns that date it.

    `dates` date every outcome, `win_dates` only wins. Names are separated by commas, the best first.
    """

    columns: str
    won: tuple[str, ...]
    lost: tuple[str, ...]
    dates: str = ""
    win_dates: str = ""
    note: str = ""


@dataclass(frozen=True)
class Layout:
    """An export as a vendor makes it; `telling` are names that other files do not have."""

    vendor: str
    table: str
    telling: str
    roles: dict[Role, str]
    statuses: tuple[Status, ...] = ()
    note: str = ""


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "HubSpot",
        "contacts",
        "Lifecycle Stage, lifecyclestage, Lead Status, hs_lead_status, Contact owner, hubspot_owner_id, "
        "Became a Customer Date, hs_lifecyclestage_customer_date, hs_lifecyclestage_lead_date, Became a "
        "Lead Date, Marketing contact status, hs_marketable_status, num_associated_deals, Number of "
        "Associated Deals, Original Traffic Source, Original Source, hs_analytics_source, hs_object_id, "
        "notes_last_updated, associatedcompanyid, Associated Company IDs, Number of Sessions, "
        "hs_analytics_num_visits, Record ID, First Conversion, first_conversion_event_name, "
        "num_conversion_events, Number of Form Submissions, lastmodifieddate, Last Contacted, "
        "notes_last_contacted, hubspotscore, HubSpot Score",
        {
            "lead_id": "Record ID, Record ID - Contact, Contact ID, hs_object_id, vid, id",
            "created_at": "Create Date, createdate, hs_createdate",
            "account_id": "Primary Associated Company ID, Associated Company IDs, Associated Company ID, "
            "associatedcompanyid, Associated Company, Company Name, company",
            "channel": "Original Traffic Source, Original Source, Original Source Type, hs_analytics_source",
            "amount": "Recent Deal Amount, recent_deal_amount, Total Revenue, total_revenue",
        },
        (
            Status(
                "Lifecycle Stage, lifecyclestage",
                ("customer", "evangelist"),
                (),
                win_dates="Became a Customer Date, hs_lifecyclestage_customer_date, "
                "hs_v2_date_entered_customer, Close Date, closedate",
                note="the lifecycle stage knows customers but no lost contacts (Lead Status "
                "'Unqualified' is set by hand and has no date), so that a lost contact stays open; with "
                "deals, bring their export as outcomes",
            ),
        ),
    ),
    Layout(
        "HubSpot",
        "deals",
        "Deal Name, dealname, Deal Stage, dealstage, Deal owner, hubspot_owner_id, Deal Type, dealtype, "
        "hs_object_id, Is Closed Won, hs_is_closed_won, Is closed lost, hs_is_closed_lost, Closed Lost "
        "Reason, closed_lost_reason, Closed Won Reason, closed_won_reason, hs_deal_stage_probability, "
        "Deal probability, days_to_close, Record ID, hs_closed_amount, Associated Company IDs, "
        "hs_lastmodifieddate, notes_last_updated, Weighted amount, amount_in_home_currency",
        {
            "lead_id": "Record ID, Record ID - Deal, Deal ID, hs_object_id, dealId, id",
            "created_at": "Create Date, createdate, hs_createdate",
            "account_id": "Associated Company IDs, Associated Company ID, associatedcompanyid, "
            "Associated Company, Primary Company",
            "channel": "Original Traffic Source, Original Source Type, hs_analytics_source",
            "amount": "Amount, amount, hs_closed_amount",
            "reason": "Closed Lost Reason, closed_lost_reason",
        },
        (
            Status(
                "Deal Stage, dealstage",
                ("Closed Won", "closedwon"),
                ("Closed Lost", "closedlost"),
                dates="Close Date, closedate",
                note="a pipeline of your own may name its last stages otherwise, and the API then gives "
                "numbers for them; of an open deal Close Date is a plan and is not read",
            ),
            Status(
                "Is Closed Won, hs_is_closed_won", ("true", "1", "yes"), (), win_dates="Close Date, closedate"
            ),
        ),
    ),
    Layout(
        "Salesforce",
        "leads",
        "IsConverted, Converted, ConvertedDate, Converted Date, ConvertedAccountId, Converted Account "
        "ID, Converted Account, ConvertedContactId, Converted Contact ID, ConvertedOpportunityId, "
        "Converted Opportunity ID, Converted Opportunity, Company / Account, Lead ID, Lead Owner, Lead "
        "Status, LeadSource, SystemModstamp, HasOptedOutOfEmail, NumberOfEmployees, LastActivityDate, "
        "CreatedDate, Unread",
        {
            "lead_id": "Lead ID, Id",
            "created_at": "CreatedDate, Create Date, Created Date",
            "account_id": "Company / Account, Company",
            "channel": "Lead Source, LeadSource",
        },
        (
            Status(
                "Lead Status, Status",
                ("Closed - Converted", "Converted"),
                ("Closed - Not Converted", "Unqualified"),
                win_dates="Converted Date, ConvertedDate",
                note="won means converted into an opportunity, which is not yet a sale; an organisation "
                "may name its statuses otherwise",
            ),
            Status(
                "Converted, IsConverted",
                ("true", "1", "yes"),
                (),
                win_dates="Converted Date, ConvertedDate",
                note="won means converted into an opportunity, which is not yet a sale",
            ),
        ),
    ),
    Layout(
        "Salesforce",
        "opportunities",
        "StageName, IsWon, IsClosed, ForecastCategory, ForecastCategoryName, Forecast Category, "
        "Opportunity ID, Opportunity Name, Opportunity Owner, HasOpportunityLineItem, Fiscal Period, "
        "FiscalQuarter, FiscalYear, SystemModstamp, LeadSource, CreatedDate, CloseDate, ExpectedRevenue, "
        "NextStep, Probability (%)",
        {
            "lead_id": "Opportunity ID, Id",
            "created_at": "CreatedDate, Created Date, Create Date",
            "account_id": "AccountId, Account ID, Account Name",
            "channel": "Lead Source, LeadSource",
            "amount": "Amount",
            "reason": "Loss Reason, Loss_Reason__c, Closed Lost Reason, Closed_Lost_Reason__c",
        },
        (
            Status(
                "Stage, StageName",
                ("Closed Won",),
                ("Closed Lost",),
                dates="Close Date, CloseDate",
                note="of an open opportunity Close Date is a plan and is not read",
            ),
            Status("Won, IsWon", ("true", "1", "yes"), (), win_dates="Close Date, CloseDate"),
        ),
    ),
    Layout(
        "Dynamics 365",
        "leads",
        "(Do Not Modify) Lead, (Do Not Modify) Row Checksum, (Do Not Modify) Modified On, Status Reason, "
        "Topic, leadid, statecode, statuscode, leadsourcecode, leadqualitycode, qualifyingopportunityid, "
        "_qualifyingopportunityid_value, companyname, createdon, _ownerid_value, _parentaccountid_value, "
        "industrycode, msdyn_leadscore, Created On",
        {
            "lead_id": "(Do Not Modify) Lead, leadid, Lead",
            "created_at": "Created On, createdon",
            "account_id": "Company Name, companyname",
            "channel": "Lead Source, leadsourcecode",
            "amount": "Est. Value, estimatedvalue, estimatedamount",
            "reason": "Status Reason, statuscode",
        },
        (
            Status(
                "Status, statecode",
                ("Qualified", "1"),
                ("Disqualified", "2"),
                note="won means qualified, which is not yet a sale; the export holds no date at which a "
                "lead was qualified or disqualified (Modified On moves on with every later change)",
            ),
        ),
    ),
    Layout(
        "Odoo",
        "leads and opportunities",
        "stage_id, stage_id/id, date_closed, Closed Date, expected_revenue, Expected Revenue, "
        "planned_revenue, Prorated Revenue, prorated_revenue, automated_probability, Automated "
        "Probability, lost_reason_id, lost_reason, Lost Reason, Salesperson, Sales Team, team_id, "
        "team_id/id, user_id/id, Expected Closing, date_deadline, date_last_stage_update, Last Stage "
        "Update, partner_name, email_from, Is Won, won_status, Days to Close, day_close, External ID, "
        "source_id, source_id/id, medium_id, create_date, date_open, Assignment Date",
        {
            "lead_id": "External ID, ID, .id, id",
            "created_at": "Created on, create_date",
            "account_id": "partner_id/id, partner_id, Customer, Company Name, partner_name",
            "channel": "Source, source_id/id, source_id, Medium, medium_id",
            "amount": "Expected Revenue, expected_revenue, planned_revenue",
            "reason": "Lost Reason, lost_reason_id, lost_reason_id/id, lost_reason",
        },
        (
            Status("Is Won, won_status", ("Won",), ("Lost",), dates="Closed Date, date_closed"),
            Status(
                "Stage, Stage/Name, stage_id, stage_id/name",
                ("Won",),
                ("Lost",),
                dates="Closed Date, date_closed",
                note="a lost lead keeps its stage and is archived, so that it stays open here and is "
                "missing from an export of the usual view: export archived leads too, with the field Is "
                "Won (won_status)",
            ),
        ),
    ),
    Layout(
        "Pipedrive",
        "deals",
        "Deal - Title, Deal - Status, Deal - Deal created, Deal - Won time, Deal - Lost time, Deal - "
        "Deal closed on, Deal - Value, Deal - Owner, Deal - Stage, Deal - Pipeline, Deal - Organization, "
        "Deal - ID, Deal - Lost reason, Deal - Contact person, add_time, won_time, lost_time, "
        "close_time, lost_reason, stage_change_time, pipeline_id, Deal created, Deal closed on, Won "
        "time, Lost time, weighted_value, expected_close_date",
        {
            "lead_id": "Deal - ID, ID, id",
            "created_at": "Deal - Deal created, Deal - Deal created on, Deal created, add_time",
            "account_id": "Deal - Organization ID, Deal - Organization, Organization ID, Organization, "
            "org_id",
            "channel": "Deal - Source channel, Source channel, channel, Deal - Source origin, Source "
            "origin, origin",
            "amount": "Deal - Value, Value, value",
            "reason": "Deal - Lost reason, Lost reason, lost_reason",
        },
        (
            Status(
                "Deal - Status, Status, status",
                ("won",),
                ("lost",),
                dates="Deal - Deal closed on, Deal closed on, close_time",
                win_dates="Deal - Won time, Won time, won_time",
                note="deleted deals are read as open",
            ),
        ),
    ),
    Layout(
        "Pipedrive",
        "leads",
        "Lead - Title, Lead - Lead created, Lead - Lead created on, Lead - Owner, Lead - Label, Lead - "
        "Labels, Lead - Value, Lead - Organization, Lead - Contact person, Lead - ID, Lead - Source, "
        "Lead - Source origin, Lead - Archived, Lead - Archive status, Lead - Update time, label_ids, "
        "source_name, is_archived, was_seen, organization_id, add_time, expected_close_date",
        {
            "lead_id": "Lead - ID, ID, id",
            "created_at": "Lead - Lead created, Lead - Lead created on, Lead created, add_time",
            "account_id": "Lead - Organization ID, Lead - Organization, organization_id",
            "channel": "Lead - Source channel, Lead - Source, source_name, Lead - Source origin, "
            "channel, origin",
            "amount": "Lead - Value, value",
        },
        note="a lead that is converted leaves this list and goes on as a deal, and an archived one need "
        "not be lost: there is no outcome here; bring the export of deals",
    ),
)
