"""Raw tables of a PostgreSQL server: what is read, in which form, and what is said where it cannot be."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from ingest_cases import params, read, refused, rows
from postgres_server import SECRET, execute
from propensity.data.interim import write_canonical
from propensity.errors import BusyError, InputError, ParamsError, hide_passwords
from propensity.params import Database, parse_params


@pytest.fixture(scope="module")
def url(postgres) -> str:
    made: str = postgres.make_database("crm")
    execute(
        made,
        f"CREATE ROLE guarded LOGIN PASSWORD '{SECRET}'",
        "CREATE TYPE size AS ENUM ('small', 'large')",
        "CREATE DOMAIN share AS numeric CHECK (VALUE >= 0)",
        "CREATE SCHEMA sales",
        """CREATE TABLE sales.leads (lead_id bigint, "Created At" timestamptz, employees integer,
        revenue numeric(12, 2), rate double precision, part share, size size, code uuid, partner boolean,
        note text, padded char(6), born date, status varchar(9))""",
        """INSERT INTO sales.leads VALUES
        (9007199254740993, '2024-05-01 10:00:00.123456+02', 10, 1234.50, 0.1, 0.25, 'small',
         '6f9619ff-8b86-d011-b42d-00c04fc964ff', true, 'says "hi",' || chr(10) || 'and more', 'ab',
         '1990-02-03', 'won'),
        (2, 'infinity', NULL, 'NaN', 'Infinity', NULL, NULL, NULL, NULL, '', NULL, NULL, 'open'),
        (3, '2024-05-02 00:00:00+00', -1, 7.00, 1e300, 1.0, 'large', NULL, false, NULL, 'x', NULL, 'lost')""",
        "CREATE TABLE public.empty (lead_id text, status text)",
        "CREATE TABLE public.odd (lead_id text, status text, tags text[], about jsonb)",
        "INSERT INTO public.odd VALUES ('a', 'won', '{x}', '{}')",
        "CREATE VIEW public.plain AS SELECT lead_id, status, about->>'x' AS x FROM public.odd",
    )
    return made


def leads(url: str, table: str, **changed: Any) -> Any:
    return params(leads={"path": {"url": url, "table": table}} | changed, max_quarantined=0.9)


def test_each_type_is_read_as_the_value_it_holds(url, tmp_path):
    canonical = read(leads(url, "sales.leads"), tmp_path)
    names = ("lead_id", "employees", "revenue", "part", "size", "partner", "note", "padded", "born")
    assert rows(canonical, "leads", *names) == [
        ("3", -1.0, 7.0, 1.0, "large", "false", None, "x", None),
        (
            "9007199254740993", 10.0, 1234.5, 0.25, "small", "true", 'says "hi",\nand more', "ab",
            "1990-02-03",
        ),
    ]  # fmt: skip
    assert canonical.attribute_types["rate"] == canonical.attribute_types["revenue"] == "number"
    assert canonical.attribute_types["code"] == canonical.attribute_types["partner"] == "text"
    assert refused(canonical, "leads") == [
        (2, "not_finite", "rate", "aaa"),
        (2, "not_finite", "revenue", "aaa"),
    ]


def test_a_moment_that_is_none_is_refused_by_row_and_others_are_exact(url, tmp_path):
    given = leads(url, "sales.leads", created_at="Created At")
    canonical = read(given, tmp_path)
    moments = [moment.isoformat() for (moment,) in rows(canonical, "leads", "created_at")]
    assert moments == ["2024-05-01T08:00:00.123456+00:00", "2024-05-02T00:00:00+00:00"]
    assert (2, "type", "Created At", "aaaaaaaa") in refused(canonical, "leads")


def test_what_was_read_is_hashed_under_a_name_without_user_and_password(url, postgres, tmp_path):
    first, again = (read(leads(url, "sales.leads"), tmp_path).raw_hashes for _ in range(2))
    assert first == again
    assert list(first) == [f"postgresql://127.0.0.1:{postgres.port}/crm/sales.leads"]


def test_leads_and_outcomes_of_one_server_are_as_of_one_moment(url, tmp_path, monkeypatch):
    """A lead that is added between the reading of two tables is in neither."""
    from propensity.data import sources

    execute(
        url,
        "CREATE TABLE people AS SELECT 'a' AS lead_id",
        "CREATE TABLE ends AS SELECT 'a' AS lead_id, 'won' AS status",
    )
    copy = sources.copy_table

    def copy_and_add(session, table, *rest, **named):
        copy(session, table, *rest, **named)
        if table == "people":
            execute(url, "INSERT INTO people VALUES ('b')", "INSERT INTO ends VALUES ('b', 'won')")

    monkeypatch.setattr(sources, "copy_table", copy_and_add)
    given = params(
        leads={"path": {"url": url, "table": "people"}},
        outcomes={"path": {"url": url, "table": "ends"}, "won": ["won"]},
    )
    canonical = read(given, tmp_path)
    assert rows(canonical, "outcomes", "lead_id", "status") == [("a", "won")]
    assert canonical.quarantine.empty


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("lead", "table 'lead' is not there, did you mean 'odd'?"),
        ("sales.lead", "table 'sales.lead' is not there, did you mean 'sales.leads'?"),
        ("empty", "holds column names and no rows"),
        ("odd", "column 'tags' is _text, 'about' is jsonb; expected text, numbers"),
    ],
)
def test_a_table_that_cannot_be_read_is_told_in_a_sentence(url, tmp_path, table, told):
    with pytest.raises(InputError) as caught:
        read(leads(url, table), tmp_path)
    assert told.split(", did")[0] in str(caught.value)


def test_a_view_leaves_out_what_cannot_be_read(url, tmp_path):
    assert rows(read(leads(url, "plain"), tmp_path), "leads", "lead_id") == [("a",)]


# --- servers that do not answer ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "error", "told"),
    [
        (("crm", "shop"), InputError, 'database "shop" does not exist'),
        (("propensity@", "nobody@"), InputError, 'role "nobody" does not exist'),
        (("127.0.0.1:", "127.0.0.1:1"), (BusyError, ParamsError), "data.leads.path.url"),
        (("crm", "crm?connect_timout=3"), ParamsError, "is no URL of a database"),
        (("propensity@", "${NOBODY_SET_THIS}@"), ParamsError, "NOBODY_SET_THIS"),
    ],
)
def test_a_database_that_is_not_there_is_told_in_a_sentence(url, tmp_path, changed, error, told):
    with pytest.raises(error) as caught:
        read(leads(url.replace(*changed), "sales.leads"), tmp_path)
    assert told in str(caught.value)


def test_a_server_that_does_not_answer_asks_to_try_again(postgres, tmp_path):
    import socket

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refused
        url = f"postgresql://propensity@127.0.0.1:{closed.getsockname()[1]}/crm"
        with pytest.raises(BusyError, match="could not be reached") as caught:
            read(leads(url, "leads"), tmp_path)
    assert caught.value.exit_code == 75


# --- passwords -------------------------------------------------------------------------------------


def with_password(url: str, password: str) -> str:
    return url.replace("propensity@", f"guarded:{password}@")


def test_a_password_comes_from_the_url_the_environment_or_a_variable_named_in_the_url(
    url, tmp_path, monkeypatch
):
    execute(url, "GRANT SELECT ON odd, plain TO guarded")
    monkeypatch.setenv("CRM_PASSWORD", SECRET)
    for way in (with_password(url, SECRET), with_password(url, "${CRM_PASSWORD}")):
        assert len(rows(read(leads(way, "plain"), tmp_path), "leads")) == 1
    monkeypatch.setenv("PGPASSWORD", SECRET)
    without = url.replace("propensity@", "guarded@")
    assert len(rows(read(leads(without, "plain"), tmp_path), "leads")) == 1


def test_no_message_log_or_file_holds_the_password(url, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    given = leads(with_password(url, SECRET), "plain")
    canonical = read(given, tmp_path)
    write_canonical(canonical, tmp_path / "interim")
    wrong = leads(with_password(url, SECRET + "x"), "plain")
    with pytest.raises(InputError, match="password authentication failed") as refused_for:
        read(wrong, tmp_path)
    with pytest.raises(InputError) as absent:
        read(leads(with_password(url, SECRET), "plane"), tmp_path)
    told = [caplog.text, str(refused_for.value), str(absent.value), repr(given), str(given.model_dump())]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 3
    told += [path.read_bytes().decode("latin-1") for path in files]
    assert not [text for text in told if SECRET in text]


def test_a_refusal_of_params_hides_passwords():
    text = (
        f"data: {{leads: {{path: {{url: 'postgresql://a:{SECRET}@h/d', tabel: x}}}}, outcomes: {{won: [w]}}}}"
    )
    with pytest.raises(ParamsError) as caught:
        parse_params(text)
    assert "postgresql" in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at postgresql://ana:pa:ss@h:5/d now", "at postgresql://ana:***@h:5/d now"),
        (
            "postgresql://ana@h/d?password=x&sslmode=require",
            "postgresql://ana@h/d?password=***&sslmode=require",
        ),
        ("postgresql://ana@h/d", "postgresql://ana@h/d"),
        ("duckdb:///a:b@c.duckdb", "duckdb:///a:b@c.duckdb"),
    ],
)
def test_passwords_are_hidden_and_nothing_else(text, shown):
    assert hide_passwords(text) == shown
    assert Database(url=text, table="t").model_dump()["url"] == shown
