"""The fields that CRMs and marketing systems fill in or overwrite after a lead was created, as a table.

Sources: HubSpot's default contact and deal properties; Salesforce's field references of Lead and
Opportunity, and the Account Engagement package (``pi__``); the Dynamics 365 Sales table references of lead
and opportunity; Odoo's ``crm.lead`` model; Marketo's person fields and Sales Insight; Pipedrive's deal, lead
and person fields; the lead fields of LeadSquared and Zoho CRM.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["outcome", "stage", "changing"]


class Group(NamedTuple):
    """Fields of one vendor that mean much the same.

    Attributes
    ----------
    vendor : str
    kind : {'outcome', 'stage', 'changing'}
    meaning : str
        What they hold.
    fields : str
        ``label = API name, API name; label = API name``. A name behind ``~`` is too common a word to go by.
    """

    vendor: str
    kind: Kind
    meaning: str
    fields: str


GROUPS: tuple[Group, ...] = (
    Group(
        "HubSpot",
        "outcome",
        "when the deal closed or the contact became a customer",
        "Close Date = closedate, hs_closedate; Became a Customer Date = hs_lifecyclestage_customer_date; "
        "Became an Evangelist Date = hs_lifecyclestage_evangelist_date; "
        "Recent Deal Close Date = recent_deal_close_date; Closed Won Date (Internal) = hs_closed_won_date; "
        "Closed Deal Close Date = hs_closed_deal_close_date; "
        "Recent Closed Order Date = hs_recent_closed_order_date; "
        "Date entered Customer = hs_v2_date_entered_customer, hs_date_entered_customer",
    ),
    Group(
        "HubSpot",
        "outcome",
        "how long it took until the deal or the customer was there",
        "Days To Close = days_to_close, hs_days_to_close_raw; "
        "Time between contact creation and deal close = hs_time_between_contact_creation_and_deal_close; "
        "Time between contact creation and deal creation = "
        "hs_time_between_contact_creation_and_deal_creation; "
        "Time to move from lead to customer = hs_time_to_move_from_lead_to_customer; "
        "Time to move from marketing qualified lead to customer = "
        "hs_time_to_move_from_marketingqualifiedlead_to_customer; "
        "Time to move from sales qualified lead to customer = "
        "hs_time_to_move_from_salesqualifiedlead_to_customer; "
        "Time to move from opportunity to customer = hs_time_to_move_from_opportunity_to_customer; "
        "Time to move from subscriber to customer = hs_time_to_move_from_subscriber_to_customer",
    ),
    Group(
        "HubSpot",
        "outcome",
        "the deals made, or their amounts",
        "Number of Associated Deals = num_associated_deals; Associated Deals; Associated Deal IDs; "
        "Recent Deal Amount = recent_deal_amount; Total Revenue = total_revenue; Amount = amount; "
        "First Deal Created Date = first_deal_created_date; Closed Deal Amount = hs_closed_amount; "
        "Closed deal amount in home currency = hs_closed_amount_in_home_currency; "
        "Amount in company currency = amount_in_home_currency; Number of open deals = hs_num_open_deals; "
        "~Annual contract value = hs_acv; ~Annual recurring revenue = hs_arr; "
        "~Monthly recurring revenue = hs_mrr; ~Total contract value = hs_tcv",
    ),
    Group(
        "HubSpot",
        "outcome",
        "whether the deal is closed, won or lost, and why",
        "Is Closed Won = hs_is_closed_won; Is closed lost = hs_is_closed_lost; "
        "Is Deal Closed? = hs_is_closed; Is Closed (numeric) = hs_is_closed_count; "
        "Is Open (numeric) = hs_is_open_count; Closed won count = hs_closed_won_count; "
        "Closed Lost Reason = closed_lost_reason; Closed Won Reason = closed_won_reason",
    ),
    Group(
        "HubSpot",
        "outcome",
        "a forecast that is 0 or 1 once the deal is closed",
        "Deal probability = hs_deal_stage_probability, hs_deal_stage_probability_shadow; "
        "Forecast probability = hs_forecast_probability; Forecast amount = hs_forecast_amount; "
        "Forecast category = hs_manual_forecast_category, hs_forecast_category; "
        "Weighted amount = hs_projected_amount; "
        "Weighted amount in company currency = hs_projected_amount_in_home_currency",
    ),
    Group(
        "HubSpot",
        "stage",
        "how far the sales process has come, or since when",
        "Lifecycle Stage = lifecyclestage; Lead Status = hs_lead_status; Deal Stage = dealstage; "
        "Became a Lead Date = hs_lifecyclestage_lead_date; "
        "Became a Subscriber Date = hs_lifecyclestage_subscriber_date; "
        "Became a Marketing Qualified Lead Date = hs_lifecyclestage_marketingqualifiedlead_date; "
        "Became a Sales Qualified Lead Date = hs_lifecyclestage_salesqualifiedlead_date; "
        "Became an Opportunity Date = hs_lifecyclestage_opportunity_date; "
        "Became an Other Lifecycle Date = hs_lifecyclestage_other_date; "
        "Latest Disqualified Lead Date = hs_latest_disqualified_lead_date; "
        "Latest Qualified Lead Date = hs_latest_qualified_lead_date; "
        "Latest Open Lead Date = hs_latest_open_lead_date; "
        "Is In First Deal Stage = hs_is_in_first_deal_stage; Contact unworked = hs_is_unworked",
    ),
    Group(
        "HubSpot",
        "changing",
        "a score or grade that HubSpot recomputes",
        "HubSpot Score = hubspotscore; "
        "Likelihood to close = hs_predictivecontactscore_v2, hs_predictivecontactscore; "
        "Lead Rating = hs_predictivecontactscorebucket; Contact priority = hs_predictivescoringtier; "
        "Deal Score = hs_deal_score, hs_predictive_deal_score; "
        "messaging_engagement_score = hs_messaging_engagement_score",
    ),
    Group(
        "HubSpot",
        "changing",
        "the last thing that happened, or the next one planned",
        "Last Activity Date = notes_last_updated; Last Activity = hs_notes_last_activity; "
        "Last Contacted = notes_last_contacted; Last Modified Date = lastmodifieddate, hs_lastmodifieddate; "
        "Next Activity Date = notes_next_activity_date; Next Activity = hs_notes_next_activity; "
        "Next step = hs_next_step; "
        "Last Engagement Date = hs_last_sales_activity_timestamp, hs_last_sales_activity_date; "
        "Last Engagement Type = hs_last_sales_activity_type; Time Last Seen = hs_analytics_last_timestamp; "
        "Time of Last Session = hs_analytics_last_visit_timestamp; Last Page Seen = hs_analytics_last_url; "
        "Last Referring Site = hs_analytics_last_referrer; Latest Traffic Source = hs_latest_source; "
        "Latest Traffic Source Date = hs_latest_source_timestamp; "
        "Latest Traffic Source Drill-Down 1 = hs_latest_source_data_1; "
        "Latest Traffic Source Drill-Down 2 = hs_latest_source_data_2; "
        "Last Touch Converting Campaign = hs_analytics_last_touch_converting_campaign; "
        "Recent Conversion = recent_conversion_event_name; Recent Conversion Date = recent_conversion_date; "
        "Recent Sales Email Opened Date = hs_sales_email_last_opened; "
        "Recent Sales Email Clicked Date = hs_sales_email_last_clicked; "
        "Recent Sales Email Replied Date = hs_sales_email_last_replied; "
        "Recent Document Revisit Date = hs_document_last_revisited; "
        "Most Recent Social Click = hs_social_last_engagement; "
        "Date of last meeting booked in meetings tool = engagements_last_meeting_booked; "
        "Last marketing email name = hs_email_last_email_name; "
        "Last marketing email open date = hs_email_last_open_date; "
        "Last sequence enrolled = hs_latest_sequence_enrolled",
    ),
    Group(
        "HubSpot",
        "changing",
        "a count that grows as long as the record is worked on",
        "Number of Sales Activities = num_notes; Number of times contacted = num_contacted_notes; "
        "Number of Pageviews = hs_analytics_num_page_views; Number of Sessions = hs_analytics_num_visits; "
        "Number of event completions = hs_analytics_num_event_completions; "
        "Number of Form Submissions = num_conversion_events; "
        "Number of Unique Forms Submitted = num_unique_conversion_events; "
        "Average Pageviews = hs_analytics_average_page_views; Marketing emails opened = hs_email_open; "
        "Marketing emails clicked = hs_email_click; Marketing emails delivered = hs_email_delivered; "
        "Marketing emails replied = hs_email_replied; Marketing emails bounced = hs_email_bounce; "
        "Number of sequences enrolled = hs_sequences_enrolled_count; "
        "Sends Since Last Engagement = hs_email_sends_since_last_engagement; "
        "Number of Associated Contacts = num_associated_contacts",
    ),
    Group(
        "HubSpot",
        "changing",
        "who works on it, which is often assigned in the course of the sale",
        "Contact owner = hubspot_owner_id; Deal owner; HubSpot Owner; "
        "Owner Assigned Date = hubspot_owner_assigneddate; HubSpot Team = hubspot_team_id; "
        "Deal Collaborator = hs_all_collaborator_owner_ids; All owner IDs = hs_all_owner_ids; "
        "Deal Description; Deal Tags = hs_tag_ids",
    ),
    Group(
        "Salesforce",
        "outcome",
        "what the lead was converted into, and when",
        "Converted = IsConverted; Converted Date = ConvertedDate; Converted Account = ConvertedAccountId; "
        "Converted Contact = ConvertedContactId; Converted Opportunity = ConvertedOpportunityId; "
        "Converted Opportunity Name; Converted Opportunity Amount; Conversion Date = pi__conversion_date__c",
    ),
    Group(
        "Salesforce",
        "outcome",
        "how the opportunity ended, when, and what it was expected to bring",
        "Won = IsWon; Closed = IsClosed; Close Date = CloseDate; Amount = Amount; "
        "Probability (%) = Probability; Expected Revenue = ExpectedRevenue; "
        "Forecast Category = ForecastCategory, ForecastCategoryName; Has Line Item = HasOpportunityLineItem; "
        "Fiscal Period = Fiscal; Fiscal Quarter = FiscalQuarter; Fiscal Year = FiscalYear; "
        "Loss Reason = Loss_Reason__c; Closed Date; Status = Status; Contract ID = ContractId; "
        "Synced Quote ID = SyncedQuoteId; Total Opportunity Quantity = TotalOpportunityQuantity",
    ),
    Group(
        "Salesforce",
        "stage",
        "how far the sales process has come, or since when",
        "Stage = StageName; Lead Status = LeadStatus; Last Stage Change Date = LastStageChangeDate; "
        "Last Stage Change in Days = LastStageChangeInDays; Stage Duration; Opportunity Stage; "
        "Action Cadence State = ActionCadenceState",
    ),
    Group(
        "Salesforce",
        "changing",
        "a score, a grade or a judgement that is revised",
        "Rating = Rating; Lead Score = ScoreIntelligenceId; Opportunity Score = IqScore; "
        "~Score = pi__score__c; ~Grade = pi__grade__c; Last Scored At = pi__Pardot_Last_Scored_At__c; "
        "Account Engagement Score; Account Engagement Grade; Pardot Score; Pardot Grade; Einstein Score; "
        "Push Count = PushCount; Priority Record = IsPriorityRecord",
    ),
    Group(
        "Salesforce",
        "changing",
        "the last thing that happened, or the next one planned",
        "Last Activity = LastActivityDate, pi__last_activity__c; Last Modified Date = LastModifiedDate; "
        "Last Modified By = LastModifiedById; System Modstamp = SystemModstamp; "
        "Last Viewed Date = LastViewedDate; Last Referenced Date = LastReferencedDate; Next Step = NextStep; "
        "Description = Description; Has Open Activity = HasOpenActivity; Has Overdue Task = HasOverdueTask; "
        "First Call Date = FirstCallDateTime; First Email Date = FirstEmailDateTime; "
        "Last Activity in Days = LastActivityInDays; ~Unread = IsUnreadByOwner",
    ),
    Group(
        "Salesforce",
        "changing",
        "who works on it, which is often assigned in the course of the sale",
        "Lead Owner = OwnerId; Opportunity Owner; Owner Role; Owner ID; "
        "Action Cadence Assignee ID = ActionCadenceAssigneeId",
    ),
    Group(
        "Dynamics 365",
        "outcome",
        "how the record ended, when, and what it brought",
        "Status = statecode; Status Reason = statuscode; Qualifying Opportunity = qualifyingopportunityid; "
        "Parent Account for lead = parentaccountid; Parent Contact for lead = parentcontactid; "
        "Actual Close Date = actualclosedate; Actual Revenue = actualvalue; Probability = closeprobability; "
        "Est. Close Date = estimatedclosedate; Est. Revenue = estimatedvalue; Est. Value = estimatedamount; "
        "Forecast Category = msdyn_forecastcategory; Final Decision Date = finaldecisiondate",
    ),
    Group(
        "Dynamics 365",
        "stage",
        "how far the sales process has come",
        "Sales Stage = salesstage; Sales Stage Code = salesstagecode; Pipeline Phase = stepname; "
        "Process Stage = stageid; ~Step = stepid; Traversed Path = traversedpath",
    ),
    Group(
        "Dynamics 365",
        "changing",
        "a score or a judgement that is revised",
        "Rating = leadqualitycode, opportunityratingcode; Lead Score = msdyn_leadscore; "
        "Lead Grade = msdyn_leadgrade; Lead Score Trend = msdyn_leadscoretrend; "
        "Predictive Score = msdyn_predictivescoreid; Opportunity Score = msdyn_opportunityscore; "
        "Opportunity Grade = msdyn_opportunitygrade; Score Reasons = msdyn_scorereasons; "
        "Priority = prioritycode; Interest Confirmed = confirminterest; "
        "Qualification Comments = qualificationcomments; Initial Communication = initialcommunication",
    ),
    Group(
        "Dynamics 365",
        "changing",
        "who works on it and what was done last",
        "Owner = ownerid; Assignment Result = msdyn_salesassignmentresult; Modified On = modifiedon; "
        "Modified By = modifiedby; (Do Not Modify) Modified On; Last On Hold Time = lastonholdtime; "
        "On Hold Time (Minutes) = onholdtime; Last Campaign Date = lastusedincampaign; "
        "~KPI = msdyn_leadkpiid",
    ),
    Group(
        "Odoo",
        "outcome",
        "how the opportunity ended, when, and what it was expected to bring",
        "Closed Date = date_closed; Days to Close = day_close; Lost Reason = lost_reason_id, lost_reason; "
        "Is Won = won_status; Active = active; Probability = probability; Conversion Date = date_conversion; "
        "Expected Closing = date_deadline; Expected Revenue = expected_revenue, planned_revenue; "
        "Prorated Revenue = prorated_revenue; Expected MRR = recurring_revenue_monthly; "
        "Prorated MRR = recurring_revenue_monthly_prorated; Recurring Revenues = recurring_revenue; "
        "~Customer = partner_id; Number of Sale Orders = sale_order_count; "
        "Sum of Orders = sale_amount_total; Days To Convert = days_to_convert; "
        "Exceeded Closing Days = days_exceeding_closing; ~Orders = order_ids",
    ),
    Group(
        "Odoo",
        "stage",
        "how far the sales process has come, or since when",
        "Stage = stage_id; Last Stage Update = date_last_stage_update; Kanban State = kanban_state",
    ),
    Group(
        "Odoo",
        "changing",
        "who works on it, what was noted last and what is planned",
        "Automated Probability = automated_probability; "
        "Is automated probability? = is_automated_probability; Priority = priority; Tags = tag_ids; "
        "Salesperson = ~user_id; Sales Team = ~team_id; Assignment Date = date_open; "
        "Days to Assign = day_open; Last Action = date_action_last; Last Updated on = write_date; "
        "Last Updated by = write_uid; Notes = description; # Meetings = meeting_count, calendar_event_count; "
        "Next Activity Deadline = activity_date_deadline; Next Activity Summary = activity_summary; "
        "My Activities Deadline = activity_date_deadline_my; ~Activities = activity_ids",
    ),
    Group(
        "Marketo",
        "changing",
        "a score that Marketo recomputes, or the latest of what happened",
        "Lead Score = leadScore; Person Score; Behavior Score = behaviorScore; "
        "Demographic Score = demographicScore; Relative Score = relativeScore; "
        "Relative Score Value = mkto_si__Relative_Score_Value__c; Urgency = urgency; "
        "Relative Urgency = relativeUrgency; Urgency Value = mkto_si__Urgency_Value__c; Priority = priority; "
        "Last Interesting Moment Date = lastInterestingMomentDate; "
        "Last Interesting Moment Desc = lastInterestingMomentDesc; "
        "Last Interesting Moment Source = lastInterestingMomentSource; "
        "Last Interesting Moment Type = lastInterestingMomentType; Updated At = updatedAt; "
        "Lead Owner Email Address = leadOwnerEmailAddress; Lead Owner First Name = leadOwnerFirstName; "
        "Lead Owner Last Name = leadOwnerLastName; Rating = rating",
    ),
    Group(
        "Marketo",
        "stage",
        "how far the sales process has come",
        "Lead Status = leadStatus; Person Status; Revenue Stage = leadRevenueStageId; "
        "Revenue Cycle Model = leadRevenueCycleModelId",
    ),
    Group(
        "Pipedrive",
        "outcome",
        "how the deal ended, when, and what it was worth",
        "Deal - Status = status; Deal - Won time = won_time, first_won_time; Deal - Lost time = lost_time; "
        "Deal - Deal closed on = close_time; Deal - Lost reason = lost_reason; Deal - Value = ~value; "
        "Deal - Weighted value = weighted_value; Deal - Probability = probability; Deal - Active = active; "
        "Deal - Expected close date = expected_close_date; Lead - Value; "
        "Person - Won deals = won_deals_count; Person - Lost deals = lost_deals_count; "
        "Person - Closed deals = closed_deals_count; Person - Open deals = open_deals_count; "
        "Lead - Archived = is_archived; Lead - Archive time = archive_time; Deal - Archive status; "
        "Deal - Product amount = product_amount; Deal - Product quantity = product_quantity",
    ),
    Group(
        "Pipedrive",
        "stage",
        "how far the sales process has come, or since when",
        "Deal - Stage; Deal - Last stage change = stage_change_time; Deal - Stage order = stage_order_nr",
    ),
    Group(
        "Pipedrive",
        "changing",
        "who works on it, its labels, and counts and dates of what was done",
        "Deal - Owner = owner_name; Lead - Owner; Person - Owner; Label = label, label_ids; Labels = labels; "
        "Deal - Label; Lead - Label; Deal - Update time = update_time; "
        "Deal - Last activity date = last_activity_date; Deal - Next activity date = next_activity_date; "
        "Deal - Total activities = activities_count; Deal - Done activities = done_activities_count; "
        "Deal - Activities to do = undone_activities_count; "
        "Deal - Email messages count = email_messages_count; "
        "Deal - Last email received = last_incoming_mail_time; "
        "Deal - Last email sent = last_outgoing_mail_time; Deal - Rotten time = rotten_time; "
        "Notes count = notes_count; Files count = files_count; Followers count = followers_count; "
        "Participants count = participants_count; Products count = products_count; Lead - Seen = was_seen; "
        "Deal - Sequence enrollment = sequence_enrollment",
    ),
    Group(
        "LeadSquared",
        "stage",
        "how far the sales process has come",
        "Lead Stage = ProspectStage; Lead Conversion Date = LeadConversionDate",
    ),
    Group(
        "LeadSquared",
        "changing",
        "a score, or what sales noted and did last",
        "Lead Quality; Lead Profile; Tags = Tags; Last Activity = ProspectActivityName_Max; "
        "Last Activity Date = ProspectActivityDate_Max; Last Notable Activity = NotableEvent; "
        "Last Notable Activity Date = NotableEventdate; Lead Last Modified On = LeadLastModifiedOn; "
        "Last Visit Date = LastVisitDate; Owner = OwnerId, OwnerIdName; Lead Score = ~Score; "
        "Engagement Score = EngagementScore; Quality Score = QualityScore; Asymmetrique Activity Index; "
        "Asymmetrique Profile Index; Asymmetrique Activity Score; Asymmetrique Profile Score; Notes = Notes",
    ),
    Group(
        "Zoho CRM",
        "outcome",
        "when the lead was converted or the deal was to close",
        "Closing Date = Closing_Date; Lead Conversion Time = Lead_Conversion_Time; "
        "Is Converted = Converted__s; Converted Time = Converted_Date_Time; "
        "Sales Cycle Duration = Sales_Cycle_Duration; Overall Sales Duration = Overall_Sales_Duration; "
        "Reason For Loss = Reason_For_Loss__s; Converted Deal = Converted_Deal",
    ),
    Group(
        "Zoho CRM",
        "changing",
        "the last thing that happened",
        "Last Activity Time = Last_Activity_Time; Modified Time = Modified_Time; Modified By = Modified_By; "
        "Last Visited Time = Last_Visited_Time; Change Log Time = Change_Log_Time__s",
    ),
)
