"""What is guessed from a stranger's files, and from what evidence; without the pipeline."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ingest_cases import REAL
from intake_cases import engine, table_from, write_rows
from propensity.audit.findings import Finding
from propensity.data.profiles import ColumnProfile, Delays
from propensity.errors import InputError, QuarantineError
from propensity.intake import settings, words
from propensity.intake.attributes import qualifier_of, why_not
from propensity.intake.behaviour import family_of, find_event_roles
from propensity.intake.draft import make_draft, params_of
from propensity.intake.guesses import Draft, Guess, as_guessed
from propensity.intake.outcome import find_outcome, reads_as, reads_as_flag
from propensity.intake.reading import Table, placeholders, read_table, sniff_delimiter
from propensity.intake.roles import find_account, find_channel, find_created, find_id, find_order
from propensity.intake.rounds import Judgement, settle
from propensity.intake.telling import tell_draft
from propensity.intake.writing import comment, scalar, write_draft
from propensity.params import parse_params

DAY = timedelta(days=1)
MONDAY = datetime(2023, 1, 2, 8, tzinfo=UTC)


def outcome_of(table: Table, leads: Table | None = None, lead_id: str = "id"):
    return find_outcome(table, leads or table, lead_id, [lead_id], {}, as_guessed)


def numbered(n: int, *columns: object) -> list[list[object]]:
    """Rows with a number and further columns, each a function of the row's place or a constant."""
    return [[i, *(c(i) if callable(c) else c for c in columns)] for i in range(n)]


def simple_draft(folder: Path, n: int = 300) -> Draft:
    rows = numbered(n, lambda i: "yes" if i % 3 == 0 else "no", lambda i: i % 7, lambda i: "abc"[i % 3])
    return make_draft(table_from(folder, ["id", "converted", "visits", "city"], rows), None, None, as_guessed)


class TestReading:
    @pytest.mark.parametrize("delimiter", list(",;\t|^"))
    def test_the_delimiter_is_the_one_that_splits_every_line_alike(self, tmp_path, delimiter):
        path = write_rows(tmp_path / "a.csv", ["id", "note"], [[1, "a,b;c"], [2, "d"], [3, "e|f"]], delimiter)
        assert sniff_delimiter(path) == delimiter

    def test_a_comma_in_a_number_does_not_make_it_the_delimiter(self, tmp_path):
        (tmp_path / "a.csv").write_text("id;amount\n1;2,5\n2;3,5\n", encoding="utf-8")
        assert sniff_delimiter(tmp_path / "a.csv") == ";"

    def test_a_compressed_file_and_parquet_are_read_like_plain_text(self, tmp_path):
        import pandas as pd

        rows = [[i, "yes" if i % 2 else "no"] for i in range(60)]
        plain = write_rows(tmp_path / "a.csv", ["id", "won"], rows, ";")
        (tmp_path / "b.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
        pd.DataFrame(rows, columns=["id", "won"]).to_parquet(tmp_path / "c.parquet")
        con = engine()
        for name in ("a.csv", "b.csv.gz", "c.parquet"):
            found = read_table(con, tmp_path / name, tmp_path, "leads")
            assert [p.distinct for p in found.file.profiles.values()] == [60, 2]
            assert found.file.path == name

    def test_select_stands_for_nothing_and_unknown_other_and_no_are_answers(self):
        assert placeholders([("Select", "India"), ("unknown", "other", "no"), ("N/A", "#N/A")]) == (
            "#N/A",
            "N/A",
            "Select",
        )

    def test_none_stands_for_nothing_only_where_several_columns_hold_it(self):
        assert placeholders([("None", "1"), ("a",), ("b",)]) == ()
        assert placeholders([("None", "1"), ("None",), ("None", "b")]) == ("None",)

    def test_a_path_is_written_as_seen_from_the_folder_of_the_params(self, tmp_path):
        (tmp_path / "raw").mkdir()
        (tmp_path / "work").mkdir()
        path = write_rows(tmp_path / "raw" / "a.csv", ["id", "won"], [[1, "yes"]])
        con = engine()
        assert read_table(con, path, tmp_path / "work", "leads").file.path == "../raw/a.csv"


def test_numbers_that_are_not_finite_or_beyond_a_whole_number_are_counted(tmp_path):
    profile = table_from(tmp_path, ["x"], [["inf"], ["1e300"], ["2"], ["2.5"]]).file.profiles["x"]
    assert (profile.numbers, profile.whole, profile.negative) == (4, 2, 0)


class TestId:
    def test_a_column_named_so_comes_before_another_unique_one(self, tmp_path):
        rows = numbered(60, lambda i: f"AB{i:04d}", lambda i: 1000 - i)
        assert find_id(table_from(tmp_path, ["height", "token", "lead_id"], rows), [], {}).column == "lead_id"

    def test_a_column_that_the_events_point_to_comes_before_one_that_only_is_called_id(self, tmp_path):
        leads = table_from(tmp_path, ["id", "case_key"], numbered(60, lambda i: f"C{i}"))
        events = table_from(
            tmp_path, ["case_key", "at"], [[f"C{i % 60}", "2024-01-01"] for i in range(200)], "events"
        )
        assert find_id(leads, [], {}).column == "id"
        assert find_id(leads, [events], {}).column == "case_key"

    def test_without_a_unique_column_the_row_is_the_id(self, tmp_path):
        found = find_id(table_from(tmp_path, ["age", "job"], [[i % 9, "x"] for i in range(60)]), [], {})
        assert (found.column, found.sure) == ("row", True)

    def test_unique_fractions_and_addresses_are_no_ids(self, tmp_path):
        rows = [[f"{i}.{i:03d}", f"a{i}@example.org"] for i in range(60)]
        assert find_id(table_from(tmp_path, ["rate", "email"], rows), [], {}).column == "row"

    def test_the_id_of_the_company_or_the_owner_is_not_that_of_the_lead(self, tmp_path):
        rows = numbered(60, lambda i: 5000 + i, lambda i: 900 + i)
        found = find_id(table_from(tmp_path, ["account_id", "owner_id", "lead number"], rows), [], {})
        assert found.column == "lead number"

    def test_a_few_repeats_are_said_and_many_rule_a_column_out(self, tmp_path):
        few = table_from(tmp_path, ["id"], [[i if i != 99 else 98] for i in range(100)])
        many = table_from(tmp_path, ["id"], [[i // 2] for i in range(100)])
        assert find_id(few, [], {}).column == "id"
        assert "1 repeated values" in find_id(few, [], {}).evidence
        assert find_id(many, [], {}).column == "row"


class TestDates:
    def created(self, folder: Path, columns: list[str], rows: list[list[object]]) -> Guess:
        return find_created(table_from(folder, columns, rows), {}, zone="UTC")

    def test_the_time_of_creation_goes_by_its_name(self, tmp_path):
        rows = [[f"2024-02-{1 + i % 28:02d}", f"2024-01-{1 + i % 28:02d}"] for i in range(60)]
        assert self.created(tmp_path, ["last_modified", "reg_date"], rows).column == "reg_date"

    def test_of_two_dates_the_earlier_is_that_of_creation(self, tmp_path):
        rows = [[f"2024-03-{1 + i % 28:02d}", f"2024-01-{1 + i % 28:02d}"] for i in range(60)]
        found = self.created(tmp_path, ["date_b", "date_a"], rows)
        assert found.column == "date_a"
        assert "not after any other date in 100%" in found.evidence

    def test_up_to_a_fifth_of_the_rows_may_lack_it_and_their_number_is_said(self, tmp_path):
        def rows(lacking: int) -> list[list[object]]:
            return [["" if i < lacking else "2024-01-05", i] for i in range(100)]

        found = self.created(tmp_path, ["created", "n"], rows(15))
        assert found.column == "created"
        assert "15 of 100 rows without it, which are quarantined" in found.evidence
        assert self.created(tmp_path, ["created", "n"], rows(25)).column is None

    def test_a_birthday_or_a_closing_date_alone_is_no_creation(self, tmp_path):
        for name in ("birth_date", "closed_at", "expected_close", "became_customer"):
            assert self.created(tmp_path, [name], [["2024-01-05"]] * 60).column is None

    def test_day_and_month_are_not_guessed(self, tmp_path):
        found = self.created(tmp_path, ["created"], [[f"{1 + i % 12:02d}/03/2024"] for i in range(60)])
        assert found.column is None
        assert "day and month are not guessed" in found.evidence

    def test_the_closing_time_is_given_for_ended_leads_only(self, tmp_path):
        rows = numbered(
            90, lambda i: ["won", "lost", "open"][i % 3], lambda i: "2024-02-01" if i % 3 < 2 else ""
        )
        found = outcome_of(table_from(tmp_path, ["id", "stage", "decided_on"], rows)).closed_at
        assert (found.column, found.sure) == ("decided_on", True)
        assert found.evidence == "given for 100% of the leads that ended and for 0% of the open ones"

    def test_a_plan_and_a_last_change_are_no_closing_times(self, tmp_path):
        rows = numbered(90, lambda i: ["won", "lost", "open"][i % 3], "2024-02-01", "2024-02-02")
        table = table_from(tmp_path, ["id", "stage", "expected_close_date", "modified"], rows)
        assert outcome_of(table).closed_at.column is None

    def test_a_date_that_most_ended_leads_lack_is_no_closing_time(self, tmp_path):
        rows = numbered(90, lambda i: ["won", "lost"][i % 2], lambda i: "2024-02-01" if i % 4 == 0 else "")
        assert outcome_of(table_from(tmp_path, ["id", "stage", "won_at"], rows)).closed_at.column is None

    def test_where_only_wins_have_a_date_no_lead_counts_as_lost_before_its_horizon_has_passed(self, tmp_path):
        rows = numbered(90, lambda i: i % 2, lambda i: "2024-02-01" if i % 2 else "")
        table = table_from(tmp_path, ["id", "converted", "converted_at"], rows)
        dated = find_outcome(table, table, "id", ["id"], {}, as_guessed, dated=True)
        assert (dated.closed_at.column, dated.won, dated.lost) == ("converted_at", ("1",), ())
        undated = find_outcome(table, table, "id", ["id"], {}, as_guessed, dated=False)
        assert (undated.closed_at.column, undated.won, undated.lost) == (None, ("1",), ("0",))


class TestOutcome:
    @pytest.mark.parametrize(
        ("value", "side"),
        [
            ("Won", "won"),
            ("closedwon", "won"),
            ("Closed Won", "won"),
            ("6. Gewonnen", "won"),
            ("Gagné", "won"),
            ("ganada", "won"),
            ("customer", "won"),
            ("Closed - Converted", "won"),
            ("Closed - Not Converted", "lost"),
            ("Closed Lost - Competitor", "lost"),
            ("No longer interested", "lost"),
            ("declined", "lost"),
            ("Unqualified", "lost"),
            ("verloren", "lost"),
            ("perdida", "lost"),
            ("Open - Not Contacted", "open"),
            ("Qualified", "open"),
            ("Negotiation", "open"),
            ("Engaging", "open"),
            ("unknown", "open"),
            ("Ringing", "open"),
        ],
    )
    def test_a_status_reads_as_won_lost_or_open(self, value, side):
        assert reads_as(value) == side

    def test_yes_and_no_are_read_in_several_languages(self):
        assert [reads_as_flag(v) for v in ("Yes", "1", "1.0", "TRUE", "ja", "sí")] == [True] * 6
        assert [reads_as_flag(v) for v in ("No", "0", "0.0", "False", "nein", "não")] == [False] * 6
        assert [reads_as_flag(v) for v in ("unknown", "2", "maybe")] == [None] * 3

    def test_the_values_are_listed_and_all_others_are_open(self, tmp_path):
        sides = ["Won", "Declined", "Cancelled", "Negotiation"]
        table = table_from(tmp_path, ["id", "stage"], numbered(80, lambda i: sides[i % 4]))
        found = outcome_of(table)
        assert found.won == ("Won",)
        assert set(found.lost) == {"Declined", "Cancelled"}
        assert found.open == ("Negotiation",)

    def test_a_flag_named_so_comes_before_other_flags(self, tmp_path):
        rows = numbered(80, lambda i: i % 2, lambda i: (i // 2) % 2, lambda i: (i // 3) % 2)
        found = outcome_of(table_from(tmp_path, ["id", "has_phone", "converted", "opted_in"], rows))
        assert found.status.column == "converted"
        assert (found.won, found.lost) == (("1",), ("0",))

    def test_a_status_of_won_and_lost_comes_before_a_flag_that_counts_open_leads_as_lost(self, tmp_path):
        rows = numbered(90, lambda i: ["won", "lost", "working"][i % 3], lambda i: int(i % 3 == 0))
        found = outcome_of(table_from(tmp_path, ["id", "lead_status", "converted"], rows))
        assert found.status.column == "lead_status"

    def test_a_binary_last_column_is_taken_and_is_not_sure(self, tmp_path):
        rows = numbered(80, lambda i: i % 5, lambda i: "yes" if i % 4 == 0 else "no")
        table = table_from(tmp_path, ["id", "visits", "took_the_offer"], rows)
        asked: list[Guess] = []

        def ask(guess: Guess, columns: list[str]) -> Guess:
            asked.append(guess)
            return replace(guess, column="took_the_offer")

        found = find_outcome(table, table, "id", ["id"], {}, ask)
        assert found.status.column == "took_the_offer"
        assert not asked[0].sure

    def test_how_an_earlier_campaign_ended_is_not_the_outcome(self, tmp_path):
        rows = numbered(80, lambda i: ["success", "failure"][i % 2], lambda i: ["yes", "no"][(i // 2) % 2])
        found = outcome_of(table_from(tmp_path, ["id", "previous_outcome", "y"], rows))
        assert found.status.column == "y"

    def test_no_outcome_is_refused_with_what_was_looked_for_and_the_columns(self, tmp_path):
        with pytest.raises(InputError, match=r"no column says how a lead ended.*'id', 'height'"):
            outcome_of(table_from(tmp_path, ["id", "height"], numbered(50, lambda i: i % 9)))

    def test_a_file_of_outcomes_is_joined_by_the_column_that_holds_the_ids(self, tmp_path):
        leads = table_from(tmp_path, ["id", "city"], numbered(60, "x"))
        rows = [[f"n{i}", i, ["won", "lost"][i % 2]] for i in range(60)]
        found = outcome_of(table_from(tmp_path, ["nr", "lead", "result"], rows, "outcomes"), leads)
        assert (found.own_file, found.lead_id.column, found.status.column) == (True, "lead", "result")

    def test_a_deals_amount_and_the_reason_of_a_loss_belong_to_the_outcome(self, tmp_path):
        rows = numbered(60, lambda i: ["won", "lost"][i % 2], lambda i: 100 + i, lambda i: 50 + i, "price")
        table = table_from(
            tmp_path, ["id", "stage", "close_value", "annual_revenue", "lost_reason_code"], rows
        )
        found = outcome_of(table)
        assert (found.amount.column, found.reason.column) == ("close_value", "lost_reason_code")

    def test_an_amount_below_zero_is_none(self, tmp_path):
        rows = numbered(60, lambda i: ["won", "lost"][i % 2], lambda i: i - 30)
        assert outcome_of(table_from(tmp_path, ["id", "stage", "deal_amount"], rows)).amount.column is None


class TestAccountAndChannel:
    def test_the_account_is_shared_by_several_leads(self, tmp_path):
        shared = table_from(tmp_path, ["Company Name"], [[f"C{i // 3}"] for i in range(60)])
        own = table_from(tmp_path, ["Company Name"], [[f"C{i}"] for i in range(60)])
        assert find_account(shared, {}, set()).column == "Company Name"
        assert find_account(own, {}, set()).column is None

    def test_what_describes_a_company_is_not_the_company(self, tmp_path):
        columns = ["company_size", "account type", "organisation country"]
        table = table_from(tmp_path, columns, [[i % 3, i % 2, "ES"] for i in range(60)])
        assert find_account(table, {}, set()).column is None

    @pytest.mark.parametrize("name", ["Lead Source", "utm_source", "TrafficType", "Kanal", "Original Source"])
    def test_the_channel_goes_by_its_name(self, tmp_path, name):
        table = table_from(tmp_path, ["city", name], [["abcd"[i % 4], "wxyz"[i % 4]] for i in range(60)])
        assert find_channel(table, {}, set()).column == name

    def test_the_source_comes_before_the_origin_and_the_latest_source_is_none(self, tmp_path):
        columns = ["Lead Origin", "Latest Source", "Lead Source"]
        table = table_from(tmp_path, columns, [["ab"[i % 2], "cd"[i % 2], "ef"[i % 2]] for i in range(60)])
        assert find_channel(table, {}, set()).column == "Lead Source"

    def test_contact_is_a_channel_if_its_values_are_ways_of_contact(self, tmp_path):
        ways = table_from(tmp_path, ["contact"], [[["cellular", "telephone"][i % 2]] for i in range(60)])
        people = table_from(tmp_path, ["contact"], [[["Ann", "Bob"][i % 2]] for i in range(60)])
        assert find_channel(ways, {}, set()).column == "contact"
        assert find_channel(people, {}, set()).column is None


class TestOrder:
    MONTHS = ("may", "jun", "jul", "aug", "oct", "nov", "dec", "mar", "apr")

    def order(self, folder: Path, columns: list[str], rows: list[list[object]], status: str = "won") -> Guess:
        return find_order(table_from(folder, columns, rows), columns[0], status, True)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_an_id_that_follows_the_rows_orders_them_either_way(self, tmp_path, sign):
        rows = [[5000 + sign * 3 * i, i % 2] for i in range(300)]
        found = self.order(tmp_path, ["lead number", "won"], rows)
        assert found.column == "lead number"
        assert found.sure is (sign < 0)

    def test_an_id_in_no_order_says_nothing(self, tmp_path):
        rows = [[5000 + 77 * i % 301, i % 2] for i in range(300)]
        assert self.order(tmp_path, ["lead number", "won"], rows).column is None

    def test_months_that_recur_in_calendar_order_say_that_the_rows_are_in_order(self, tmp_path):
        rows = [[self.MONTHS[i // 40 % 9], i % 2] for i in range(800)]
        found = self.order(tmp_path, ["month", "won"], rows)
        assert found.column == "row"
        assert "follow the calendar in 100%" in found.evidence

    @pytest.mark.parametrize("kind", ["by name", "once through the year", "mixed"])
    def test_a_file_that_is_sorted_or_mixed_is_in_no_order(self, tmp_path, kind):
        names = {
            "by name": sorted(self.MONTHS[i % 9] for i in range(800)),
            "once through the year": [("jan", "feb", "mar", "apr")[i // 200] for i in range(800)],
            "mixed": [self.MONTHS[i * 7 % 9] for i in range(800)],
        }[kind]
        rows = [[name, i % 2] for i, name in enumerate(names)]
        assert self.order(tmp_path, ["month", "won"], rows).column is None

    def test_rows_that_are_sorted_by_the_outcome_are_in_no_order_of_time(self, tmp_path):
        rows = [[i, int(i > 500)] for i in range(1000)]
        found = self.order(tmp_path, ["id", "won"], rows)
        assert found.column is None
        assert "sorted by the outcome 'won'" in found.evidence


class TestEvents:
    def test_columns_and_families_are_found(self, tmp_path):
        leads = table_from(tmp_path, ["id"], numbered(40))
        kinds = ["email opened", "page visit", "LinkedIn follow", "phone call"]
        rows = [
            [
                i % 40,
                f"2024-01-{1 + i % 28:02d}T10:00:00Z",
                f"2024-01-{1 + i % 28:02d}T11:00:00Z",
                kinds[i % 4],
                i,
            ]
            for i in range(200)
        ]
        columns = ["lead_id", "happened_at", "recorded_at", "activity", "duration_seconds"]
        found = find_event_roles(
            table_from(tmp_path, columns, rows, "events"), leads, "id", as_guessed, zone="UTC"
        )
        guesses = (found.lead_id, found.event_at, found.known_at, found.type, found.value)
        assert [g.column for g in guesses] == columns
        assert found.asset.column is None
        assert found.known_share == 1.0
        assert found.families == dict(zip(kinds, ("email", "web", "social", "sales"), strict=True))

    @pytest.mark.parametrize(
        ("name", "family"),
        [
            ("Unsubscribe", "email"),
            ("email_click", "email"),
            ("courriel ouvert", "email"),
            ("shared a post", "social"),
            ("W_Nabellen offertes", "sales"),
            ("Anruf", "sales"),
            ("Meeting booked", "sales"),
            ("A_SUBMITTED", "web"),
            ("form filled", "web"),
        ],
    )
    def test_an_event_type_goes_by_the_words_in_it(self, name, family):
        assert family_of(name) == family

    def test_a_column_of_many_pages_is_no_asset(self, tmp_path):
        leads = table_from(tmp_path, ["id"], numbered(40))
        rows = [[i % 40, "2024-01-01", "visit", f"/page/{i}"] for i in range(300)]
        events = table_from(tmp_path, ["id", "at", "type", "page"], rows, "events")
        assert find_event_roles(events, leads, "id", as_guessed, zone="UTC").asset.column is None

    def test_events_that_point_to_no_lead_are_refused_with_their_columns(self, tmp_path):
        leads = table_from(tmp_path, ["id"], numbered(40))
        events = table_from(tmp_path, ["who", "at", "type"], [["x", "2024-01-01", "visit"]] * 60, "events")
        with pytest.raises(InputError, match=r"no column holds ids of 'id'.*'who', 'at', 'type'"):
            find_event_roles(events, leads, "id", as_guessed, zone="UTC")

    def test_events_without_a_creation_time_are_left_out_and_it_is_said(self, tmp_path):
        leads = table_from(tmp_path, ["id", "won"], numbered(60, lambda i: i % 2))
        events = table_from(
            tmp_path, ["id", "at", "type"], [[i, "2024-01-01", "visit"] for i in range(60)], "events"
        )
        draft = make_draft(leads, events, None, as_guessed)
        assert draft.behaviour is None
        assert "leads have no creation time" in draft.notes[0]


class TestAttributesAndSettings:
    def test_the_company_is_firmographic_and_the_person_demographic(self):
        assert [qualifier_of(n) for n in ("Industry", "Company size", "Mitarbeiter")] == ["firmographic"] * 3
        assert [qualifier_of(n) for n in ("age", "What is your current occupation")] == ["demographic"] * 2

    def test_dates_notes_names_and_reserved_names_are_no_features(self, tmp_path):
        rows = [[f"2024-01-{1 + i % 28:02d}", f"Name {i}", "x" * 300, i, "", i % 3] for i in range(60)]
        profiles = table_from(tmp_path, ["seen", "who", "note", "weight", "empty", "age"], rows).file.profiles
        said = {name: why_not(p) for name, p in profiles.items()}
        assert "no feature is made of a date" in said["seen"]
        assert "60 different texts in 60 rows" in said["who"]
        assert "300 characters" in said["note"]
        assert "name that is used for other content" in said["weight"]
        assert said["empty"] == "holds nothing"
        assert said["age"] == ""

    def test_one_hour_is_the_first_age_where_many_leads_end_at_once(self):
        early = Delays(closed=100, before=0.0, within_hour=0.1, median_days=3.0)
        assert settings.choose_ages(early)[0] == (settings.AN_HOUR, 1.0, 7.0, 30.0)
        assert settings.choose_ages(replace(early, within_hour=0.09))[0] == (0.0, 1.0, 7.0, 30.0)
        assert settings.choose_ages(None)[0] == (0.0,)

    def test_ages_reach_to_half_the_horizon_and_windows_to_the_last_age(self):
        ages = settings.ages_within((settings.AN_HOUR, 1.0, 7.0, 30.0), 14)
        assert ages == (settings.AN_HOUR, 1.0, 7.0)
        assert settings.choose_lookback(ages)[0] == (0.05, 1.0, 7.0)
        assert settings.choose_lookback((0.0, 1.0, 7.0, 30.0))[0] == (7.0, 30.0, 90.0)
        assert settings.ages_within((0.0, 1.0), 0.5) == (0.0,)

    def test_large_accounts_are_not_kept_on_one_side(self):
        profile = ColumnProfile("c", 1000, 1000, 100, 9, 0, 0, 0, 0, None, None, (), False, ())
        assert settings.choose_group(profile)[0] == "account_id"
        assert settings.choose_group(replace(profile, distinct=40))[0] == "lead_id"
        assert settings.choose_group(None)[0] == "lead_id"

    def test_the_precision_asked_for_is_twice_the_base_rate_within_bounds(self):
        assert [settings.choose_precision(w, 100)[0] for w in (1, 11, 60)] == [0.1, 0.22, 0.8]

    def test_events_of_other_leads_may_be_quarantined_as_far_as_they_are_many(self):
        assert settings.choose_limit(0.99)[0] == 0.2
        assert settings.choose_limit(0.6)[0] == 0.5

    def test_offsets_are_said(self, tmp_path):
        rows = [["2024-01-05T10:00:00+01:00"], ["2024-07-05T10:00:00+02:00"]] * 20
        profiles = table_from(tmp_path, ["at"], rows).file.profiles
        assert "+01:00 and +02:00" in settings.describe_offsets(list(profiles.values()))

    def test_names_are_split_into_words(self):
        assert words.tokens("LeadSource") == ("lead", "source")
        assert words.tokens("Größe_der Firma (MA)") == ("grosse", "der", "firma", "ma")
        assert words.tokens("hs_lifecyclestage") == ("hs", "lifecyclestage")


class TestRounds:
    """The audit stands in for itself: findings are made by hand."""

    def issue(self, code: str, subject: str, result: str = "issue", **evidence: object) -> Finding:
        severity = "blocking" if result == "issue" else "note"
        return Finding(code, "check", result, severity, subject, f"said of {subject}", dict(evidence))  # type: ignore[arg-type]

    def test_what_is_refused_is_excluded_with_code_and_sentence_until_nothing_is(self, tmp_path):
        draft = simple_draft(tmp_path)
        judged = []

        def judge(candidate: Draft) -> Judgement:
            judged.append(list(candidate.attributes))
            return Judgement([self.issue("PRP301", c) for c in ("visits", "city")[: len(judged)]])

        settled = settle(draft, judge, lambda _value: [])
        assert judged == [["visits", "city"], ["city"], []]
        assert [(r.code, r.subject, r.message) for r in settled.draft.refused] == [
            ("PRP301", "visits", "said of visits"),
            ("PRP301", "city", "said of city"),
        ]
        assert not settled.stopping_still

    def test_tips_that_a_column_tells_nothing_exclude_it_and_other_tips_do_not(self, tmp_path):
        tips = [self.issue("PRP701", "visits", "tip"), self.issue("PRP706", "city", "tip")]
        settled = settle(simple_draft(tmp_path), lambda _d: Judgement(tips), lambda _value: [])
        assert list(settled.draft.attributes) == ["city"]

    @pytest.mark.parametrize(("holders", "missing"), [(["visits"], ("6",)), (["visits", "city"], ())])
    def test_a_sentinel_means_missing_unless_another_column_may_mean_it(self, tmp_path, holders, missing):
        tips = [self.issue("PRP702", "visits", "tip", sentinel=6.0)]
        settled = settle(simple_draft(tmp_path), lambda _d: Judgement(tips), lambda value: holders)
        assert settled.draft.leads.missing == missing

    @pytest.mark.parametrize(("leads", "by", "test_share"), [(20_000, "order", 0.3), (300, "order", None)])
    def test_where_the_share_won_moves_the_last_part_is_long(self, tmp_path, leads, by, test_share):
        draft = simple_draft(tmp_path, n=leads)
        assert draft.split_by == by
        moves = [replace(self.issue("PRP503", "x"), subject=None, severity="warning")]
        settled = settle(draft, lambda _d: Judgement(moves), lambda _value: [])
        assert settled.draft.shares.get("test") == test_share
        params = parse_params(write_draft(settled.draft))
        assert params.split.test == (test_share or 0.15)
        assert (f"test {test_share}" in tell_draft(settled)) == (test_share is not None)

    def test_the_summary_tells_the_tips_about_columns_that_are_kept_and_what_is_missing(self, tmp_path):
        tips = [self.issue("PRP302", "city", "tip"), self.issue("PRP702", "visits", "tip", sentinel=6.0)]
        told = tell_draft(
            settle(simple_draft(tmp_path), lambda _d: Judgement(tips), lambda _value: ["visits"])
        )
        assert "PRP302 city: said of city" in told
        assert "missing values: '6' (PRP702 said of visits)" in told

    def test_an_issue_that_nothing_can_be_left_out_for_refuses_the_draft(self, tmp_path):
        settled = settle(
            simple_draft(tmp_path), lambda _d: Judgement([self.issue("PRP601", "lead_id")]), lambda _value: []
        )
        assert [f.name for f in settled.stopping_still] == ["PRP601 lead_id"]

    def test_too_many_bad_rows_are_no_reason_for_smaller_demands(self, tmp_path):
        def judge(_draft: Draft) -> Judgement:
            raise QuarantineError("half of the rows are bad")

        assert (
            str(settle(simple_draft(tmp_path), judge, lambda _value: []).refusal)
            == "half of the rows are bad"
        )

    def test_a_refused_split_by_order_falls_back_to_chance_and_says_why(self, tmp_path):
        draft = simple_draft(tmp_path)
        assert draft.split_by == "order"

        def judge(candidate: Draft) -> Judgement:
            if candidate.split_by != "random":
                raise InputError("no wins in the test part")
            return Judgement([])

        settled = settle(draft, judge, lambda _value: [])
        assert settled.draft.split_by == "random"
        assert settled.refusal is None
        assert any("no wins in the test part" in note for note in settled.draft.notes)

    def test_a_short_history_gets_a_shorter_horizon_and_fewer_ages(self, tmp_path):
        rows = [
            [
                i,
                f"{MONDAY + i * DAY / 4:%Y-%m-%d %H:%M}",
                f"{MONDAY + (i / 4 + 9) * DAY:%Y-%m-%d %H:%M}",
                side,
            ]
            for i, side in enumerate(["won", "lost"] * 150)
        ]
        table = table_from(tmp_path, ["id", "created", "closed", "status"], rows)
        draft = make_draft(table, None, None, as_guessed)
        assert (draft.split_by, draft.horizon_days, draft.ages_days) == (
            "time",
            "auto",
            (0.0, 1.0, 7.0, 30.0),
        )

        def judge(candidate: Draft) -> Judgement:
            if candidate.horizon_days == "auto" or candidate.horizon_days > 10:
                raise InputError("the history is too short")
            return Judgement([], horizon_days=float(candidate.horizon_days))

        settled = settle(draft, judge, lambda _value: [])
        assert (settled.draft.horizon_days, settled.draft.ages_days) == (7.0, (0.0, 1.0))


class TestWriting:
    @given(
        st.one_of(
            st.text(), st.none(), st.integers(-5, 5), st.sampled_from(["yes", "null", "1", "a: b", "#x"])
        )
    )
    def test_a_value_reads_back_as_itself_on_one_line(self, value):
        written = scalar(value)
        assert len(written.splitlines()) == 1
        assert yaml.safe_load(f"- {written}") == [value]

    @given(st.text(max_size=300))
    def test_a_comment_stays_a_comment_whatever_stands_in_it(self, text):
        lines = "\n".join(comment(f"x {text}", 2))
        assert yaml.safe_load(f"a: 1\n{lines}\nb: 2") == {"a": 1, "b": 2}

    HOSTILE = (
        'a "quoted"',
        "it's",
        "key: value",
        "# not a comment",
        "two\nlines",
        "ünïcødé 🎯",
        "- dash",
        "{x}",
        "null",
    )

    def test_hostile_column_names_survive(self, tmp_path):
        rows = numbered(120, lambda i: ["yes", "no"][i % 2], *([lambda i: i % 5] * len(self.HOSTILE)))
        table = table_from(tmp_path, ["id", "won: really?", *self.HOSTILE], rows)
        draft = make_draft(table, None, None, as_guessed)
        params = parse_params(write_draft(draft, refusal="because:\n- x # y"))
        assert params.features.demographic == list(self.HOSTILE)
        assert params.data.outcomes.status == "won: really?"
        assert (params.data.outcomes.won, params.data.outcomes.lost) == (["yes"], ["no"])
        assert params == params_of(draft)

    def test_guesses_stand_with_their_evidence_and_refusals_with_their_code(self, tmp_path):
        rows = numbered(60, lambda i: ["won", "lost"][i % 2], lambda i: 100 + i, lambda i: "ab"[i % 2])
        table = table_from(tmp_path, ["lead_id", "stage", "close_value", "city"], rows)
        text = write_draft(make_draft(table, None, None, as_guessed))
        assert (
            "# guess: unique in every row; whole numbers, rising with the row\n    lead_id: lead_id" in text
        )
        assert "# PRP101: known only because of the outcome" in text
        assert parse_params(text).features.exclude == ["close_value"]


def real(*names: str) -> list[Table | None]:
    paths = [REAL / name for name in names]
    if not all(path.exists() for path in paths):
        pytest.skip("the real data is not here")
    con = engine()
    tables = ("leads", "events", "outcomes")
    return [read_table(con, path, REAL, table) for path, table in zip(paths, tables, strict=False)]  # type: ignore[arg-type]


class TestRealData:
    def test_an_online_course_seller(self):
        draft = make_draft(*real("x_education/Leads.csv"), None, None, as_guessed)
        assert (draft.roles.lead_id.column, draft.roles.order_by.column) == ("Lead Number", "Lead Number")
        assert (draft.roles.channel.column, draft.outcome.status.column) == ("Lead Source", "Converted")
        assert draft.leads.missing == ("Select",)

    def test_a_bank(self):
        draft = make_draft(*real("uci_bank_marketing/bank-additional-full.csv"), None, None, as_guessed)
        assert (draft.leads.delimiter, draft.roles.lead_id.column) == (";", "row")
        assert (draft.roles.order_by.column, draft.roles.channel.column) == ("row", "contact")
        assert (draft.outcome.status.column, draft.outcome.won) == ("y", ("yes",))
        assert draft.leads.missing == ()

    def test_a_web_shop(self):
        draft = make_draft(*real("uci_online_shoppers/online_shoppers_intention.csv"), None, None, as_guessed)
        assert (draft.split_by, draft.roles.channel.column) == ("random", "TrafficType")
        assert (draft.outcome.status.column, draft.outcome.won) == ("Revenue", ("TRUE",))

    def test_a_crm_pipeline(self):
        draft = make_draft(*real("maven_crm_sales/sales_pipeline.csv"), None, None, as_guessed)
        assert (draft.roles.lead_id.column, draft.roles.created_at.column) == (
            "opportunity_id",
            "engage_date",
        )
        assert (draft.outcome.closed_at.column, draft.outcome.amount.column) == ("close_date", "close_value")
        assert [r.code for r in draft.refused] == ["PRP101", "PRP101"]
        assert (draft.roles.account_id.column, draft.group) == ("account", "lead_id")

    def test_a_lenders_applications(self):
        leads, events, outcomes = real(
            "bpic2012/leads.csv", "bpic2012/events.csv.gz", "bpic2012/outcomes.csv"
        )
        outcomes = replace(outcomes, file=replace(outcomes.file, table="outcomes"))
        draft = make_draft(leads, events, outcomes, as_guessed)
        assert (draft.roles.created_at.column, draft.outcome.closed_at.column) == ("reg_date", "outcome_ts")
        assert (draft.outcome.won, set(draft.outcome.lost)) == (("won",), {"declined", "cancelled"})
        assert draft.ages_days[0] == settings.AN_HOUR
        assert draft.behaviour.asset.column == "lifecycle"
        assert len(draft.behaviour.families) == 24
