"""The command line: results on stdout, logs on stderr, an exit code a scheduler can read."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from propensity import __version__
from propensity.errors import AlarmError, AuditError, PropensityError

app = typer.Typer(
    name="propensity",
    help="Learn from won and lost leads how likely a lead is to be won, and say why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Params = Annotated[Path, typer.Option("--params", help="The workspace's params file.")]


class Export(StrEnum):
    """What the scores are exported as."""

    HUBSPOT = "hubspot"
    SALESFORCE = "salesforce"
    CSV = "csv"
    XLSX = "xlsx"


class _State:
    params = Path("params.yaml")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _configure(
    params: Params = Path("params.yaml"),
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what each part does.")] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and stop."),
    ] = False,
) -> None:
    _State.params = params
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", force=True
    )


@app.command()
def init(
    leads: Annotated[
        Path | None, typer.Argument(help="The leads: CSV or Parquet. Left out: a template is written.")
    ] = None,
    events: Annotated[Path | None, typer.Option(help="What the leads did: CSV or Parquet.")] = None,
    outcomes: Annotated[
        Path | None, typer.Option(help="How they ended, if that is not in the leads: CSV or Parquet.")
    ] = None,
) -> None:
    """Write a params.yaml to start from: for a stranger's files, or the template with every key explained."""
    from propensity.commands import start_params, write_template

    if leads is None:
        if events is not None or outcomes is not None:
            raise typer.BadParameter("--events and --outcomes need the leads they belong to")
        typer.echo(write_template(_State.params))
        return
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    typer.echo(start_params(_State.params, leads, events=events, outcomes=outcomes, interactive=interactive))


@app.command()
def simulate(
    leads: Annotated[int, typer.Option(help="How many leads.", min=100)] = 20_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.", min=0)] = 7,
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("data/raw"),
) -> None:
    """Simulate a CRM's raw tables, with the true probabilities beside them."""
    from propensity.data.simulate import simulate as simulate_crm
    from propensity.data.simulate import write_simulation

    made = simulate_crm(leads, seed)
    write_simulation(made, out)
    typer.echo(f"{len(made.leads):,} lead rows and {len(made.events):,} event rows in {out}")


@app.command()
def run(
    stage: Annotated[list[str] | None, typer.Argument(help="Stages to run; all when left out.")] = None,
) -> None:
    """Run the pipeline, from raw tables to a verified bundle, scores and the review."""
    from propensity.data.files import locked
    from propensity.errors import nearest
    from propensity.stages import STAGES
    from propensity.workspace import LOCK, open_workspace

    wanted = stage or list(STAGES)
    for name in wanted:
        if name not in STAGES:
            hint = nearest(name, STAGES)
            raise typer.BadParameter(f"no stage '{name}'{hint}; the stages are {', '.join(STAGES)}")
    workspace = open_workspace(_State.params)
    with locked(workspace.folder / LOCK):
        for name in wanted:
            typer.echo(f"{name + ':':<10} {STAGES[name](workspace)}")


@app.command()
def audit() -> None:
    """Look for what is not known in time: leaks, counters, truncated outcomes, parts that overlap."""
    from propensity.commands import audit_raw
    from propensity.data.files import locked
    from propensity.workspace import LOCK, open_workspace

    workspace = open_workspace(_State.params)
    with locked(workspace.folder / LOCK):
        told, stops = audit_raw(workspace)
    typer.echo(told)
    if stops:
        raise AuditError(stops)


@app.command()
def score(
    leads: Annotated[
        str | None,
        typer.Option(help="Score every lead of this file, instead of the open ones of the params."),
    ] = None,
    events: Annotated[str | None, typer.Option(help="The events of those leads.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="The moment of scoring; the last one the data covers when left out.")
    ] = None,
    previous: Annotated[
        str | None,
        typer.Option(
            help="Say what changed since the scores of this file, or since the history's latest, in "
            "scores/changes.parquet."
        ),
    ] = None,
    previous_bundle: Annotated[
        str | None, typer.Option(help="The bundle those scores are by, where it is another one.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The bundle to score with; the champion, or the latest, if left out.")
    ] = None,
    export: Annotated[
        list[Export] | None, typer.Option(help="Also write the scores for this system; may be repeated.")
    ] = None,
) -> None:
    """Score leads from the raw tables, and write scores/scores.parquet."""
    from propensity.commands import score_raw
    from propensity.data.files import locked
    from propensity.loop.handover import recover_offline
    from propensity.workspace import LOCK, open_workspace

    if previous_bundle is not None and previous is None:
        raise typer.BadParameter("--previous-bundle needs the scores it gave: --previous")
    workspace = open_workspace(_State.params)
    with locked(workspace.folder / LOCK):
        if recovered := recover_offline(workspace):
            typer.echo(recovered, err=True)
        told = score_raw(
            workspace,
            leads=leads,
            events=events,
            as_of=as_of,
            previous=previous,
            previous_bundle=previous_bundle,
            model=model,
            exports=[name.value for name in export or []],
        )
    typer.echo(told)


@app.command()
def explain(
    lead_id: Annotated[str, typer.Argument(help="The lead.")],
) -> None:
    """Say why a lead has the score it has in scores/scores.parquet."""
    from propensity.commands import explain_lead
    from propensity.workspace import open_workspace

    typer.echo(explain_lead(open_workspace(_State.params), lead_id))


@app.command()
def review(
    leads: Annotated[
        Path | None,
        typer.Option(help="Show the leads of this file: a CSV with a column lead_id, or one lead a line."),
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="How many leads to choose; 40 when left out.", min=1, max=500)
    ] = None,
) -> None:
    """Write the review anew from the latest scores and metrics."""
    from propensity.commands import review_leads
    from propensity.data.files import locked
    from propensity.workspace import LOCK, open_workspace

    if leads is not None and sample is not None:
        raise typer.BadParameter("--leads names the leads, --sample has them chosen: give one of the two")
    workspace = open_workspace(_State.params)
    with locked(workspace.folder / LOCK):
        typer.echo(review_leads(workspace, leads=leads, sample=sample))


@app.command()
def feedback(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Files of verdicts that the review saved; with none, those kept are told again."),
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="Print reviewers' names, not codes; no file written holds them.")
    ] = False,
) -> None:
    """Take in verdicts on leads, and say where sales and the model disagree and who was right."""
    from propensity.data.files import locked
    from propensity.loop.feedback import take_feedback
    from propensity.workspace import LOCK, open_workspace

    workspace = open_workspace(_State.params)
    with locked(workspace.folder / LOCK):
        typer.echo(take_feedback(workspace, files or [], names=names))


@app.command()
def monitor(
    as_of: Annotated[
        str | None,
        typer.Option(help="The moment of the look, or now; the last one the data covers when left out."),
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Say whether a model of the newer outcomes does better.")
    ] = False,
) -> None:
    """Watch feeds, features, scores and outcomes since the training; exit code 6 for an alarm."""
    from propensity.commands import monitor_workspace
    from propensity.data.files import locked
    from propensity.workspace import LOCK, open_workspace

    workspace = open_workspace(_State.params)
    with locked(workspace.folder / LOCK):
        told, alarms = monitor_workspace(workspace, as_of=as_of, retrain=retrain)
    typer.echo(told)
    if alarms:
        raise AlarmError(alarms)


@app.command()
def promote(
    recentre: Annotated[
        bool,
        typer.Option("--recentre", help="Instead, put the shift of reports/monitor.json into the bundle."),
    ] = False,
    force: Annotated[
        str | None, typer.Option(help="Promote whatever the gate says, for this reason; it is recorded.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who promotes; the user at work here when left out.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the gate says, and change nothing.")
    ] = False,
) -> None:
    """Hold the challenger against the champion, and let it take its place if it passes the gate."""
    from propensity.commands import promote_recentred
    from propensity.data.files import locked, told_when_full
    from propensity.loop.promotion import promote_challenger
    from propensity.workspace import LOCK, open_workspace

    if recentre and (force is not None or by is not None or dry_run):
        raise typer.BadParameter(
            "--recentre makes a challenger and promotes nothing: it takes no other option"
        )
    workspace = open_workspace(_State.params)
    with locked(workspace.folder / LOCK), told_when_full():
        if recentre:
            typer.echo(promote_recentred(workspace))
        else:
            typer.echo(promote_challenger(workspace, by=by, force=force, dry_run=dry_run))


@app.command()
def rollback(
    by: Annotated[
        str | None, typer.Option(help="Who rolls back; the user at work here when left out.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; it is recorded.")] = None,
) -> None:
    """Let the previous champion take the champion's place again."""
    from propensity.data.files import locked, told_when_full
    from propensity.loop.promotion import roll_back
    from propensity.workspace import LOCK, open_workspace

    workspace = open_workspace(_State.params)
    with locked(workspace.folder / LOCK), told_when_full():
        typer.echo(roll_back(workspace, by=by, reason=reason))


@app.command()
def price(
    since: Annotated[
        str | None, typer.Option(help="Only leads created from this moment on; all when left out.")
    ] = None,
) -> None:
    """Say what leads of each channel and campaign cost, what they bring, and what one may cost."""
    from propensity.commands import price_channels
    from propensity.data.files import locked
    from propensity.workspace import LOCK, open_workspace

    workspace = open_workspace(_State.params)
    with locked(workspace.folder / LOCK):
        typer.echo(price_channels(workspace, since=since))


@app.command()
def trends() -> None:
    """Say which pages, offers, mails and attributes go with winning, and who the winners are."""
    from propensity.commands import find_trends
    from propensity.data.files import locked
    from propensity.workspace import LOCK, open_workspace

    workspace = open_workspace(_State.params)
    with locked(workspace.folder / LOCK):
        typer.echo(find_trends(workspace))


@app.command()
def funnel() -> None:
    """Count leads from creation to MQL, SQL and win, and the days they spend in each stage."""
    from propensity.commands import count_funnel
    from propensity.data.files import locked
    from propensity.workspace import LOCK, open_workspace

    workspace = open_workspace(_State.params)
    with locked(workspace.folder / LOCK):
        typer.echo(count_funnel(workspace))


@app.command()
def forget(
    lead_ids: Annotated[list[str] | None, typer.Argument(help="The leads, by their ids.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file with one lead a line.")] = None,
) -> None:
    """Take leads out of the workspace for good, and tell what else holds them."""
    from propensity.commands import forget_leads
    from propensity.data.files import locked
    from propensity.workspace import LOCK, open_workspace

    if not lead_ids and file is None:
        raise typer.BadParameter("name the leads, or a file of them: --file")
    workspace = open_workspace(_State.params)
    with locked(workspace.folder / LOCK):
        typer.echo(forget_leads(workspace, lead_ids or [], file))


@app.command()
def verify(
    path: Annotated[
        Path | None, typer.Argument(help="A bundle; those of the workspace when left out.")
    ] = None,
) -> None:
    """Check the hashes of bundles, and that they score here as they did when they were made."""
    from propensity.commands import verify_bundle, verify_models

    typer.echo(verify_bundle(path) if path else verify_models(_State.params))


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the code that says what happened."""
    try:
        app(arguments, standalone_mode=True)
    except PropensityError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(error.exit_code)
    sys.exit(0)
