"""The bundle: the same bytes, the same scores, and nothing that was changed is read."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.bundled import trained_with
from propensity.data.files import to_json, write_json
from propensity.errors import BundleError
from propensity.model.bundle import (
    FORMAT,
    Bundle,
    log_odds,
    name_bundle,
    read_bundle,
    read_model,
    verify_files,
    write_bundle,
    write_model,
)
from propensity.model.calibration import Calibrator
from tiny_models import FEATURES, KINDS, METHODS, NAMES, bundle, make_feature, table, training

FILES = {
    "logistic": ["logistic.json"],
    "lightgbm": ["model.txt"],
    "blend": ["logistic.json", "model.txt"],
}
ALWAYS = ["calibrator.json", "cutoffs.json", "features.json", "manifest.json", "probe.parquet"]


def probe() -> pd.DataFrame:
    return table()[table()["split"] == "calibrate"].head(30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hold a written blend."""
    path = tmp_path_factory.mktemp("models") / "bundle"
    write_bundle(bundle("blend"), path, probe())
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """Hold a copy that the test may damage."""
    return Path(shutil.copytree(folder, tmp_path / "bundle"))


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def reseal(path: Path, **changed: Any) -> None:
    """Change the manifest and seal it again, as somebody who knows how could."""
    manifest = json.loads((path / "manifest.json").read_text()) | changed
    manifest.pop("seal")
    seal = hashlib.sha256(to_json(manifest).encode()).hexdigest()
    write_json(manifest | {"seal": seal}, path / "manifest.json")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_read_scores_bit_for_bit_as_what_was_written(kind: str, method: str, tmp_path: Path) -> None:
    made = bundle(kind, method)
    version = write_bundle(made, tmp_path / "bundle", probe())
    read = read_bundle(tmp_path / "bundle", threads=1)
    assert log_odds(read, table()).tolist() == log_odds(made, table()).tolist()
    assert (read.plan, read.encoding, read.cutoffs, read.params, read.data) == (
        made.plan,
        made.encoding,
        made.cutoffs,
        made.params,
        made.data,
    )
    assert read.model_version == version
    assert len(version) == 12
    assert sorted(contents(tmp_path / "bundle")) == sorted([*ALWAYS, *FILES[kind]])


def test_the_layout_of_the_table_does_not_matter(folder: Path) -> None:
    read = read_bundle(folder, threads=1)
    turned = table()[[*reversed(NAMES), "split"]].assign(extra="x")
    assert log_odds(read, turned).tolist() == log_odds(read, table()).tolist()


def test_writing_twice_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_bundle(bundle("blend"), tmp_path / "again", probe())
    assert contents(tmp_path / "again") == contents(folder)
    write_bundle(read_bundle(folder, threads=1), tmp_path / "again", probe())
    assert contents(tmp_path / "again") == contents(folder)


@pytest.mark.parametrize(
    "changed",
    [
        {"cutoffs": {"reference_odds": 0.26}},
        {"params": {"snapshots": {"horizon_days": 60.0}}},
        {"data": {"observed_until": "2025-07-01T00:00:00+00:00"}},
        {"calibrator": Calibrator("sigmoid", {"slope": 1.0, "intercept": 0.0})},
        {"documents": {"grades": {"fit": [1.0, 2.0, 3.0]}}},
    ],
    ids=["cutoffs", "params", "data", "calibrator", "documents"],
)
def test_other_content_is_another_version(folder: Path, tmp_path: Path, changed: dict[str, Any]) -> None:
    version = write_bundle(replace(bundle("blend"), **changed), tmp_path / "other", probe())
    assert version != read_bundle(folder, threads=1).model_version


def test_a_model_measured_again_keeps_its_version_and_its_card_is_sealed(tmp_path: Path) -> None:
    made = replace(bundle("blend"), documents={"grades": {"fit": [1.0, 2.0, 3.0]}})
    named = name_bundle(made, probe())
    carded = replace(made, documents={**made.documents, "model_card": {"auc": 0.8}})
    assert write_bundle(carded, tmp_path / "bundle", probe()) == named.model_version
    read = read_bundle(tmp_path / "bundle", threads=1)
    assert read.documents == carded.documents
    assert read.versions == named.versions
    path = tmp_path / "bundle" / "model_card.json"
    path.write_text(path.read_text(encoding="utf-8").replace("0.8", "0.9"), encoding="utf-8")
    with pytest.raises(BundleError, match=r"'model_card\.json' in .* changed after the bundle was written"):
        read_bundle(tmp_path / "bundle", threads=1)


def positions(content: bytes) -> Iterator[int]:
    """Both ends, the middle, and places throughout."""
    yield from {0, 1, len(content) // 2, len(content) - 2, len(content) - 1}
    yield from range(7, len(content), max(1, len(content) // 12))


@pytest.mark.parametrize("name", [*ALWAYS[:3], "probe.parquet", *FILES["blend"]])
@pytest.mark.parametrize("flip", [0x01, 0x80])
def test_a_flipped_byte_in_any_file_is_refused(copy: Path, name: str, flip: int) -> None:
    content = (copy / name).read_bytes()
    for place in positions(content):
        changed = bytearray(content)
        changed[place] ^= flip
        (copy / name).write_bytes(changed)
        with pytest.raises(
            BundleError, match=f"'{name}' in .* changed after the bundle was written"
        ) as refused:
            read_bundle(copy)
        assert refused.value.exit_code == 5
    (copy / name).write_bytes(content)
    read_bundle(copy, threads=1)


@pytest.mark.parametrize(("flip", "step"), [(0x07, 1), (0x01, 3), (0x20, 5), (0x80, 5)])
def test_a_flipped_byte_anywhere_in_the_manifest_is_refused(copy: Path, flip: int, step: int) -> None:
    """Spaces, line feeds (0x07 makes them carriage returns), hashes, versions and the seal itself."""
    content = (copy / "manifest.json").read_bytes()
    for place in range(0, len(content), step):
        changed = bytearray(content)
        changed[place] ^= flip
        (copy / "manifest.json").write_bytes(changed)
        with pytest.raises(BundleError):
            verify_files(copy)


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: json.dumps(json.loads(text)),
        lambda text: text + "\n",
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace('"format"', '"f\\u006frmat"'),
        lambda text: text.replace(f'"format": {FORMAT}', f'"format": {FORMAT}.0'),
        lambda text: text.replace(f'"format": {FORMAT},', f'"format": 1,\n "format": {FORMAT},'),
        lambda text: "null",
        lambda text: "[" * 100_000,
        lambda text: "",
    ],
    ids=["compact", "longer", "mark", "windows", "escape", "float", "twice", "null", "deep", "empty"],
)
def test_a_manifest_that_only_looks_the_same_is_refused(copy: Path, rewrite: Any) -> None:
    text = (copy / "manifest.json").read_bytes().decode()
    (copy / "manifest.json").write_bytes(rewrite(text).encode())
    with pytest.raises(BundleError, match=r"manifest\.json (changed after|could not be read)"):
        read_bundle(copy)


@pytest.mark.parametrize("name", [*ALWAYS, *FILES["blend"]])
def test_a_missing_file_is_refused(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        read_bundle(copy)


@pytest.mark.parametrize("name", ["extra.txt", ".hidden", "model.txt.bak"])
def test_an_extra_file_is_refused(copy: Path, name: str) -> None:
    (copy / name).write_text("x")
    with pytest.raises(BundleError, match=f"holds '{name}' that its manifest does not list"):
        read_bundle(copy)


def test_a_folder_in_a_files_place_and_no_folder_at_all_are_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "model.txt").unlink()
    (copy / "model.txt").mkdir()
    with pytest.raises(BundleError, match="could not be read"):
        read_bundle(copy)
    with pytest.raises(
        BundleError, match=r"is not a bundle: it has no manifest\.json; 'propensity run' writes one"
    ):
        read_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize(("found", "age"), [(FORMAT - 1, "an earlier"), (FORMAT + 1, "a later")])
def test_another_format_is_refused_with_what_to_do(copy: Path, found: int, age: str) -> None:
    reseal(copy, format=found, versions={"propensity": "9.8"})
    said = f"has bundle format {found}, this version of propensity reads format {FORMAT}: {age} version"
    with pytest.raises(
        BundleError, match=f"{said} wrote it, 9.8. Score with that version, or .* 'propensity run'"
    ):
        read_bundle(copy)


def test_another_format_is_named_also_where_it_is_sealed_in_another_way(copy: Path) -> None:
    path = copy / "manifest.json"
    path.write_text(json.dumps({"format": 7, "signed": True}), encoding="utf-8")
    with pytest.raises(BundleError, match=r"has bundle format 7, .*: a later version wrote it"):
        read_bundle(copy)


def test_params_of_another_version_are_refused_by_name(copy: Path) -> None:
    content = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    params = {"data": {"outcomes": {"won": ["won"]}}, "split": {"by": "random"}}
    reseal(copy, params=params | {"telepathy": {"range": 3}}, versions=content["versions"])
    with pytest.raises(BundleError, match=r"does not know or refuses: 'telepathy'\. Version .* wrote it"):
        trained_with(read_bundle(copy))


@pytest.mark.parametrize("files", [None, [], "x", {"../../etc/passwd": "0" * 64}, {"..": "0" * 64}])
def test_a_manifest_sealed_over_nonsense_is_refused(copy: Path, files: Any) -> None:
    reseal(copy, files=files)
    with pytest.raises(BundleError):
        read_bundle(copy)


def replace_file(path: Path, name: str, content: Any) -> None:
    """Put other content in place with a right hash and seal, so that only its meaning is wrong."""
    write_json(content, path / name)
    files = {
        n: hashlib.sha256(c).hexdigest() for n, c in sorted(contents(path).items()) if n != "manifest.json"
    }
    reseal(path, files=files)


def test_a_model_that_scores_its_probe_otherwise_is_refused(copy: Path) -> None:
    calibrator = json.loads((copy / "calibrator.json").read_text())
    replace_file(copy, "calibrator.json", calibrator | {"intercept": calibrator["intercept"] + 1e-6})
    with pytest.raises(
        BundleError, match=r"scores its probe rows differently here: the largest gap .* is 1e-06"
    ):
        read_bundle(copy)


def test_files_that_do_not_fit_together_are_refused(copy: Path) -> None:
    logistic = json.loads((copy / "logistic.json").read_text())
    short = {name: logistic[name][1:] for name in ("knots", "values", "missing")}
    categories = [j - 1 for j in logistic["categories"]]
    for wrong in (
        logistic | short | {"categories": categories},
        logistic | {"values": logistic["values"][:-1]},
        {"base": 0.0},
        [],
    ):
        replace_file(copy, "logistic.json", wrong)
        with pytest.raises(BundleError):
            read_bundle(copy)


def test_two_models_without_a_weight_are_refused(copy: Path) -> None:
    reseal(copy, blend_weight=None)
    with pytest.raises(BundleError, match="holds two models but no weight to blend them with"):
        read_bundle(copy)


def test_a_logistic_model_of_fewer_features_is_refused(tmp_path: Path) -> None:
    """Two numbers at the end of the list are not categories, so only their number can tell."""
    encoding = training("logistic").encoding
    write_model(training("logistic").model, tmp_path)
    longer = replace(encoding, features=[*encoding.features, make_feature("one_more")])
    with pytest.raises(BundleError, match=r"logistic\.json has 5 features, features\.json 6"):
        read_model(tmp_path, longer, blend_weight=None)
    (tmp_path / "logistic.json").unlink()
    with pytest.raises(BundleError, match=r"neither model\.txt nor logistic\.json"):
        read_model(tmp_path, encoding, blend_weight=None)


class BrokenPlan:
    """A plan whose fields cannot be written."""

    def __init__(self) -> None:
        self.attributes = object()


@pytest.mark.parametrize("fault", ["probe", "plan"])
def test_a_failure_half_way_leaves_the_old_bundle(copy: Path, fault: str) -> None:
    before = contents(copy)
    broken: Any = replace(bundle("blend"), plan=BrokenPlan()) if fault == "plan" else bundle("blend")
    rows = probe().drop(columns="channel") if fault == "probe" else probe()
    with pytest.raises((KeyError, TypeError)):
        write_bundle(broken, copy, rows)
    assert contents(copy) == before
    assert [path.name for path in copy.parent.iterdir()] == ["bundle"]


def test_a_new_bundle_takes_the_old_ones_place_whole(copy: Path) -> None:
    version = write_bundle(bundle("logistic"), copy, probe())
    assert sorted(contents(copy)) == sorted([*ALWAYS, "logistic.json"])
    assert read_bundle(copy).model_version == version


def test_a_probe_with_missing_and_unseen_values_is_read_again(tmp_path: Path) -> None:
    rows = probe().assign(channel=pd.Series([None] * 30, index=probe().index, dtype="str"), employees=np.nan)
    rows["job_title"] = "astronaut"
    write_bundle(bundle("blend"), tmp_path / "bundle", rows)
    assert isinstance(read_bundle(tmp_path / "bundle"), Bundle)
    stored = pd.read_parquet(tmp_path / "bundle" / "probe.parquet")
    assert stored.columns.tolist() == [*[f.name for f in FEATURES], "expected_log_odds"]
    assert stored["expected_log_odds"].tolist() == log_odds(bundle("blend"), rows).tolist()


def test_nothing_in_a_bundle_is_code(folder: Path) -> None:
    """Text, JSON or Parquet: no pickle, by name or by its first byte."""
    for name, content in contents(folder).items():
        assert Path(name).suffix in {".txt", ".json", ".parquet"}
        assert content[:1] != b"\x80"
