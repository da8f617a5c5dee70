"""A workspace: a folder with a ``params.yaml``, and where things lie in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from propensity.params import Params, load_params

LOCK = ".propensity.lock"  # held by a command at work in a workspace


@dataclass(frozen=True)
class Workspace:
    """A folder with a ``params.yaml``; every path is relative to it.

    Attributes
    ----------
    folder : Path
    params : Params
    """

    folder: Path
    params: Params

    @property
    def interim(self) -> Path:
        """Canonical tables, snapshots and features."""
        return self.folder / "data" / "interim"

    @property
    def processed(self) -> Path:
        """The training table."""
        return self.folder / "data" / "processed"

    @property
    def models(self) -> Path:
        """The candidate, its calibration and the bundle."""
        return self.folder / "models"

    @property
    def champion(self) -> Path:
        """The bundle that was promoted; it is not there before the first one was."""
        return self.models / "champion"

    @property
    def serving(self) -> Path:
        """The bundle that scores every night: the champion, or the latest one while none was promoted."""
        return self.champion if self.champion.exists() else self.models / "bundle"

    @property
    def promotions(self) -> Path:
        """What was promoted, refused and rolled back: one record each."""
        return self.models / "promotions"

    @property
    def reports(self) -> Path:
        """Metrics and the review."""
        return self.folder / "reports"

    @property
    def scores(self) -> Path:
        """The scores of the open leads."""
        return self.folder / "scores" / "scores.parquet"

    @property
    def challenger_scores(self) -> Path:
        """The scores by the latest bundle, while a champion gives those in `scores`."""
        return self.scores.with_name("challenger.parquet")

    @property
    def history(self) -> Path:
        """A file for each finished run of ``propensity score``."""
        return self.folder / "scores" / "history"

    @property
    def kept(self) -> Path:
        """A folder with the behaviour that one run of ``propensity score`` keeps for the next."""
        return self.folder / "scores" / "kept"

    @property
    def exports(self) -> Path:
        """A folder for each export of the scores."""
        return self.folder / "scores" / "export"

    @property
    def crossings(self) -> Path:
        """The feed of leads that crossed into or out of MQL and SQL."""
        return self.folder / "scores" / "crossings.jsonl"

    @property
    def feedback(self) -> Path:
        """The verdicts of sales, each with what was shown."""
        return self.folder / "data" / "feedback" / "feedback.parquet"


def open_workspace(params_path: Path) -> Workspace:
    """Read the params file of a workspace."""
    return Workspace(params_path.resolve().parent, load_params(params_path))


def shown(path: Path) -> str:
    """Return a path as seen from where the command was given, if it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
