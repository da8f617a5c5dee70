"""The bundle: a folder that holds one model, everything needed to score with it, and its hashes.

Nothing in it is code: LightGBM's text format, JSON and Parquet. It is verified before it is read:
the manifest against its own seal, each file against its SHA-256, and then the model against rows
whose scores were written down when it was made.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from propensity.data.files import read_json, replaced_folder, sha256, to_json, write_parquet, write_text
from propensity.errors import BundleError, InputError, some
from propensity.features.catalogue import Feature, Plan, plan_to_json
from propensity.model.calibration import Calibrator, calibrator_from_json, calibrator_to_json
from propensity.model.encoding import Encoding, encode, encoding_from_json, encoding_to_json, veil
from propensity.model.estimators import (
    Blend,
    Boosted,
    Estimator,
    Logistic,
    Vector,
    logistic_from_json,
    logistic_to_json,
    make_boosted,
    model_file,
)
from propensity.model.segments import Segmented, pooled_of, segments_from_json, segments_to_json

FORMAT = 2
MANIFEST = "manifest.json"
PACKAGES = ("lightgbm", "numpy", "pandas", "propensity", "scikit-learn")
PROBE_TOLERANCE = 1e-9
# What a bundle may hold beside the model, each as JSON that its reader understands. The card tells of the
# model and is no part of it: the same model measured again keeps its version.
DOCUMENTS = ("actions", "amounts", "evidence", "grades", "reference", "words", "model_card")
CARD = "model_card"

T = TypeVar("T")


@dataclass(frozen=True)
class Bundle:
    """A model with everything needed to score.

    Attributes
    ----------
    plan : Plan
        What features are built from.
    encoding : Encoding
        The features the model reads and the levels of its categories.
    model : Estimator
    calibrator : Calibrator
    cutoffs : dict
        The content of ``cutoffs.json``.
    params : dict
        The params the model was trained with.
    data : dict
        The data window: ``observed_until``, counts, and the raw files' hashes.
    documents : dict
        What else the bundle holds, by the names of `DOCUMENTS`.
    model_version : str
        Twelve hex digits that name this very content, the model card apart; empty until the bundle is
        named or written.
    versions : dict or None
        The versions of Python and the packages it was made with; None until it is written.
    folder : Path or None
        Where it was read from.
    """

    plan: Plan
    encoding: Encoding
    model: Estimator
    calibrator: Calibrator
    cutoffs: dict[str, Any]
    params: dict[str, Any]
    data: dict[str, Any]
    documents: Mapping[str, Any] = field(default_factory=dict)
    model_version: str = ""
    versions: dict[str, str] | None = None
    folder: Path | None = field(default=None, compare=False)
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def keep(self, name: str, make: Callable[[], T]) -> T:
        """Return what is made of this bundle, made once; a copy with other content makes its own."""
        if name not in self._kept:
            self._kept[name] = make()
        found: T = self._kept[name]
        return found

    @property
    def features(self) -> list[Feature]:
        """The features the model reads, in order."""
        return self.encoding.features


def log_odds(bundle: Bundle, table: pd.DataFrame) -> Vector:
    """Return the calibrated log-odds of a feature table's rows."""
    return bundle.calibrator.log_odds(bundle.model.margin(encode(table, bundle.encoding)))


def write_bundle(bundle: Bundle, folder: Path, probe: pd.DataFrame) -> str:
    """Write the bundle; the same content gives the same bytes, whole or not at all.

    Parameters
    ----------
    bundle : Bundle
    folder : Path
        What it held before is replaced once the new bundle is complete.
    probe : DataFrame
        Feature rows to score again after each load.

    Returns
    -------
    str
        The model's version.
    """
    with replaced_folder(folder) as fresh:
        manifest = _write_files(bundle, fresh, probe)
        write_text(to_json(manifest), fresh / MANIFEST)
    return str(manifest["model_version"])


def name_bundle(bundle: Bundle, probe: pd.DataFrame) -> Bundle:
    """Return the bundle with the version that `write_bundle` will give it."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = _write_files(bundle, Path(folder), probe)
    return replace(bundle, model_version=manifest["model_version"], versions=manifest["versions"])


def _write_files(bundle: Bundle, folder: Path, probe: pd.DataFrame) -> dict[str, Any]:
    """Write all files but the manifest, and return what it says."""
    write_model(bundle.model, folder)
    write_text(to_json(calibrator_to_json(bundle.calibrator)), folder / "calibrator.json")
    write_text(to_json(bundle.cutoffs), folder / "cutoffs.json")
    features = {"plan": plan_to_json(bundle.plan), **encoding_to_json(bundle.encoding)}
    write_text(to_json(features), folder / "features.json")
    for name, content in bundle.documents.items():
        assert name in DOCUMENTS
        write_text(to_json(content), folder / f"{name}.json")
    columns = veil(probe, bundle.encoding).reset_index(drop=True)
    write_parquet(columns.assign(expected_log_odds=log_odds(bundle, columns)), folder / "probe.parquet")
    return _manifest(bundle, folder)


def read_bundle(folder: Path, *, threads: int = 0) -> Bundle:
    """Verify and load a bundle.

    Raises
    ------
    BundleError
        The folder is not a bundle, a file is missing, unknown or changed, or the model does not
        score its probe rows as it did when it was made.
    """
    manifest = verify_files(folder)
    try:
        bundle = _parse(folder, manifest, threads)
        _check_probe(bundle, folder)
    except (InputError, OSError, LookupError, TypeError, ValueError) as error:
        raise BundleError(f"{folder} could not be read: {error!r}") from error
    return replace(bundle, folder=folder.resolve())


def find_version(folder: Path) -> str | None:
    """Return the name of the model that a folder says it holds; None where there is no bundle."""
    path = folder / MANIFEST
    return str(_read_manifest(folder)["model_version"]) if path.exists() else None


def verify_files(folder: Path) -> dict[str, Any]:
    """Check the manifest's seal and each file's hash, and return the manifest.

    Raises
    ------
    BundleError
        As in `read_bundle`, the probe apart.
    """
    manifest = _read_manifest(folder)
    files: dict[str, str] = manifest["files"]
    present = {path.name for path in folder.iterdir()} - {MANIFEST}
    if missing := sorted(set(files) - present):
        raise BundleError(f"{folder} lacks {some(missing)} that its manifest lists; copy the whole folder")
    if unknown := sorted(present - set(files)):
        raise BundleError(f"{folder} holds {some(unknown)} that its manifest does not list; remove them")
    try:
        changed = [name for name, digest in sorted(files.items()) if sha256(folder / name) != digest]
    except OSError as error:
        raise BundleError(f"{folder} could not be read: {error}") from None
    if changed:
        raise BundleError(
            f"{some(changed)} in {folder} changed after the bundle was written (SHA-256 differs); restore it "
            "from a copy, or train again"
        )
    return manifest


def write_model(model: Estimator, folder: Path) -> None:
    """Write a model as ``model.txt``, ``logistic.json`` or both.

    Boosters beside the first are ``model_1.txt`` and so on; ``statistics.json`` holds the statistics
    that they read, ``segments.json`` what levels of segments add.
    """
    for name, content in _model_files(model).items():
        write_text(content, folder / name)


def read_model(
    folder: Path, encoding: Encoding, *, blend_weight: float | None, threads: int = 0
) -> Estimator:
    """Read what `write_model` wrote; both files together are a blend, ``segments.json`` goes on top."""
    pooled = _read_pooled(folder, encoding, blend_weight, threads)
    path = folder / "segments.json"
    return segments_from_json(read_json(path), pooled, encoding) if path.exists() else pooled


def _read_pooled(folder: Path, encoding: Encoding, blend_weight: float | None, threads: int) -> Estimator:
    logistic = boosted = None
    if (folder / "logistic.json").exists():
        n_codes = {j: encoding.n_codes(encoding.names[j]) for j in encoding.categories}
        logistic = logistic_from_json(read_json(folder / "logistic.json"), n_codes=n_codes)
        if len(logistic.knots) != len(encoding.features):
            raise BundleError(
                f"logistic.json has {len(logistic.knots)} features, features.json {len(encoding.features)}"
            )
    if (folder / "model.txt").exists():
        boosted = make_boosted(
            _read_texts(folder),
            len(encoding.features),
            threads=threads,
            statistics=_read_statistics(folder, encoding),
        )
    if logistic and boosted:
        if blend_weight is None:
            raise BundleError(f"{folder} holds two models but no weight to blend them with")
        return Blend(logistic, boosted, blend_weight)
    model = logistic or boosted
    if model is None:
        raise BundleError(f"{folder} holds neither model.txt nor logistic.json")
    return model


def _model_files(model: Estimator) -> dict[str, str]:
    if isinstance(model, Segmented):
        return {**_model_files(model.pooled), "segments.json": to_json(segments_to_json(model))}
    if isinstance(model, Logistic):
        return {"logistic.json": to_json(logistic_to_json(model))}
    if isinstance(model, Boosted):
        texts = {model_file(k): b.model_to_string() for k, b in enumerate(model.boosters)}
        tables = [{"feature": j, "log_odds": table.tolist()} for j, table in model.statistics.items()]
        return texts | ({"statistics.json": to_json(tables)} if tables else {})
    assert isinstance(model, Blend)
    return {**_model_files(model.logistic), **_model_files(model.boosted)}


def _read_texts(folder: Path) -> list[str]:
    texts: list[str] = []
    while (path := folder / model_file(len(texts))).exists():
        texts.append(path.read_text(encoding="utf-8"))
    return texts


def _read_statistics(folder: Path, encoding: Encoding) -> dict[int, Vector]:
    path = folder / "statistics.json"
    if not path.exists():
        return {}
    tables = {row["feature"]: np.asarray(row["log_odds"], dtype=np.float64) for row in read_json(path)}
    sizes = {j: encoding.n_codes(encoding.names[j]) for j in encoding.categories}
    if any(sizes.get(j) != len(table) for j, table in tables.items()):
        raise BundleError("statistics.json and features.json disagree about the categories' levels")
    return tables


def _manifest(bundle: Bundle, folder: Path) -> dict[str, Any]:
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    pooled = pooled_of(bundle.model)
    content: dict[str, Any] = {
        "format": FORMAT,
        "blend_weight": pooled.weight if isinstance(pooled, Blend) else None,
        "files": files,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "data": bundle.data,
        "params": bundle.params,
    }
    of_model = {name: digest for name, digest in files.items() if name != f"{CARD}.json"}
    content["model_version"] = _digest(content | {"files": of_model})[:12]
    return content | {"seal": _digest(content)}


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(to_json(content).encode()).hexdigest()


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        # Bytes, since reading as text would take a carriage return for a line feed.
        text = path.read_bytes().decode("utf-8")
        manifest = json.loads(text)
    except FileNotFoundError:
        raise BundleError(
            f"{folder} is not a bundle: it has no {MANIFEST}; 'propensity run' writes one"
        ) from None
    except (OSError, RecursionError, ValueError) as error:
        raise BundleError(f"{path} could not be read: {error}") from None
    if isinstance(manifest, dict):
        _check_format(manifest, path)  # first, since another format may be sealed in another way
    if not isinstance(manifest, dict) or text != to_json(manifest) or not _is_sealed(manifest):
        raise BundleError(
            f"{path} changed after the bundle was written; restore it from a copy, or train again"
        )
    return manifest


def _check_format(manifest: dict[str, Any], path: Path) -> None:
    found = manifest.get("format")
    if type(found) is not int or found == FORMAT:
        return
    versions = manifest.get("versions")
    wrote = versions.get("propensity") if isinstance(versions, dict) else None
    raise BundleError(
        f"{path} has bundle format {found}, this version of propensity reads format {FORMAT}: "
        f"{'a later' if found > FORMAT else 'an earlier'} version wrote it{f', {wrote}' if wrote else ''}. "
        "Score with that version, or make a bundle with this one: 'propensity run'"
    )


def _is_sealed(manifest: dict[str, Any]) -> bool:
    files = manifest.get("files")
    return (
        manifest.get("seal") == _digest({k: v for k, v in manifest.items() if k != "seal"})
        and isinstance(files, dict)
        and all(re.fullmatch(r"[\w.]+", name) for name in files)
    )


def _parse(folder: Path, manifest: dict[str, Any], threads: int) -> Bundle:
    features = read_json(folder / "features.json")
    encoding = encoding_from_json(features)
    return Bundle(
        plan=Plan(**features["plan"]),
        encoding=encoding,
        model=read_model(folder, encoding, blend_weight=manifest["blend_weight"], threads=threads),
        calibrator=calibrator_from_json(read_json(folder / "calibrator.json")),
        cutoffs=read_json(folder / "cutoffs.json"),
        params=manifest["params"],
        data=manifest["data"],
        documents={
            name: read_json(folder / f"{name}.json")
            for name in DOCUMENTS
            if f"{name}.json" in manifest["files"]
        },
        model_version=manifest["model_version"],
        versions=manifest["versions"],
    )


def _check_probe(bundle: Bundle, folder: Path) -> None:
    probe = pd.read_parquet(folder / "probe.parquet")
    expected = probe.pop("expected_log_odds").to_numpy()
    gap = float(np.abs(log_odds(bundle, probe) - expected).max(initial=0.0))
    if not gap <= PROBE_TOLERANCE:
        raise BundleError(
            f"{folder} scores its probe rows differently here: the largest gap in log-odds is {gap:.3g}, "
            f"at most {PROBE_TOLERANCE:g} is allowed. It was made with {bundle.versions}"
        )
