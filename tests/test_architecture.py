"""The house: who may import whom, who may touch the disk, and what each DVC stage declares."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

import propensity.stages
from propensity.params import OPERATING, Params

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
PACKAGE = SOURCE / "propensity"

# What a part may import: the parts before it. Parts on one line do not import each other.
LAYERS = [
    {"errors", "params", "propensity"},
    {"workspace"},
    {"data"},
    {"cohort"},
    {"features"},
    {"audit", "model"},
    {"evaluation", "explain", "registry"},
    {"decisions"},
    {"bundled", "online"},
    {"batch"},
    {"predict"},
    {"money"},
    {"crm", "intake", "loop", "privacy", "report"},
    {"gathering"},
    {"measuring", "reviewing", "scoring"},
    {"stages"},
    {"commands"},
    {"cli"},
]
RANK = {part: i for i, parts in enumerate(LAYERS) for part in parts}
ONLY_IN = {"ibis": {"data", "cohort", "features"}, "mlflow": {"loop", "registry"}, "shap": {"explain"}}
TOUCHES_DISK = (
    *("data/", "model/bundle.py", "registry/", "crm/", "intake/", "loop/", "privacy/", "report/render.py"),
    *("gathering.py", "measuring.py", "reviewing.py", "scoring/"),
    *("stages.py", "commands.py", "cli.py"),
)
DISK = {
    "open",
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
    "read_parquet",
    "to_parquet",
    "unlink",
    "mkdir",
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def imports_in(tree: ast.AST) -> set[str]:
    """Modules imported anywhere in a tree, but under TYPE_CHECKING and ``__name__ == '__main__'``."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and {"TYPE_CHECKING", "__name__"} & {
            n.id for n in ast.walk(node.test) if isinstance(n, ast.Name)
        }:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{a.name}" for a in node.names} | {node.module}
        found |= imports_in(node)
    return found


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_run_one_way(path):
    part = part_of(name_of(path))
    for imported in imports_in(tree_of(path)):
        if not imported.startswith("propensity."):
            continue
        other = part_of(imported)
        if other == part or other == "__version__":
            continue
        allowed = RANK[other] < RANK[part] or {part, other} == {"errors", "params"}
        assert allowed, f"{name_of(path)} imports {imported}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_library_is_imported_only_where_it_belongs(path):
    part = part_of(name_of(path))
    roots = {imported.split(".")[0] for imported in imports_in(tree_of(path))}
    for library, parts in ONLY_IN.items():
        assert library not in roots or part in parts, f"{name_of(path)} imports {library}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_only_the_named_parts_touch_the_disk(path):
    if str(path.relative_to(PACKAGE)).startswith(TOUCHES_DISK):
        return
    called = {
        node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute))
    }
    assert not called & (DISK - ({"read_text"} if path.name == "params.py" else set()))


def test_importing_predict_loads_no_heavy_library():
    code = (
        "import sys, propensity.predict; "
        "names = ('mlflow', 'shap', 'dvc', 'matplotlib', 'pandera', 'numba', 'ibis', 'duckdb', 'psycopg'); "
        "print([m for m in names if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"


def test_the_command_line_loads_no_heavy_library():
    heavy = "('pandas', 'numpy', 'ibis', 'lightgbm', 'sklearn')"
    code = f"import sys, propensity.cli; print([m for m in {heavy} if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"


# --- dvc.yaml --------------------------------------------------------------------------------------

# What a stage reads and uses is followed call by call through these modules, not module by module: a stage
# that asks one function of them does not depend on what the others use.
FOLLOWED = (
    *("stages", "gathering", "measuring", "reviewing"),
    *("scoring/chunks", "scoring/counts", "scoring/history", "scoring/jobs", "scoring/parts"),
    *("scoring/progress", "scoring/results", "scoring/tables", "scoring/target"),
)
FUNCTIONS = {
    node.name: node
    for name in FOLLOWED
    for node in tree_of(PACKAGE / f"{name}.py").body
    if isinstance(node, ast.FunctionDef)
}
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
RUN = [name for name in PIPELINE if name != "simulate"]
FOLDERS = {
    "interim": "data/interim",
    "processed": "data/processed",
    "models": "models",
    "reports": "reports",
    "scores": "scores/scores.parquet",
}


def function_and_its_helpers(name: str) -> list[ast.FunctionDef]:
    found, waiting = {}, [name]
    while waiting:
        current = waiting.pop()
        found[current] = FUNCTIONS[current]
        calls = [n.func for n in ast.walk(FUNCTIONS[current]) if isinstance(n, ast.Call)]
        called = {f.id for f in calls if isinstance(f, ast.Name)}
        waiting += [other for other in called if other in FUNCTIONS and other not in found]
    return list(found.values())


@cache
def closure(module: str) -> frozenset[str]:
    """The files of a module and of everything of the product that it imports, directly or not."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        path = SOURCE / Path(*waiting.pop().split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        name = str(path.relative_to(ROOT))
        if path.exists() and name not in found:
            found.add(name)
            waiting += [i for i in imports_in(tree_of(path)) if i.startswith("propensity.")]
    return frozenset(found)


def paths_named_in(function: ast.FunctionDef) -> set[str]:
    """Paths such as ``ws.interim / "leads.parquet"`` in a function, relative to the workspace."""

    def resolve(node: ast.AST) -> str | None:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            left, right = resolve(node.left), node.right
            return f"{left}/{right.value}" if left and isinstance(right, ast.Constant) else None
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ws":
            return FOLDERS.get(node.attr)
        return None

    found = {p for node in ast.walk(function) if isinstance(node, ast.BinOp) and (p := resolve(node))}
    if any(isinstance(n, ast.Attribute) and n.attr == "scores" for n in ast.walk(function)):
        found.add(FOLDERS["scores"])
    return found


def declared(stage: str, key: str) -> set[str]:
    entries = PIPELINE[stage].get(key, [])
    return {next(iter(e)) if isinstance(e, dict) else e for e in entries}


def covered(path: str, entries: set[str]) -> bool:
    return any(path == e or path.startswith(f"{e}/") for e in entries)


def test_dvc_runs_every_stage_of_run_in_its_order():
    assert list(propensity.stages.STAGES) == RUN


@pytest.mark.parametrize("stage", RUN)
def test_a_dvc_stage_declares_the_code_it_uses(stage):
    functions = function_and_its_helpers(stage)
    used = {m for f in functions for m in imports_in(f) if m.startswith("propensity.")}
    files = {file for module in used for file in closure(module)} - {"src/propensity/__init__.py"}
    missing = sorted(f for f in files if not covered(f, declared(stage, "deps")))
    assert not missing


@pytest.mark.parametrize("stage", RUN)
def test_a_dvc_stage_declares_the_files_it_reads_and_writes(stage):
    named = {p for f in function_and_its_helpers(stage) for p in paths_named_in(f)}
    entries = declared(stage, "deps") | declared(stage, "outs") | declared(stage, "metrics")
    missing = sorted(
        p for p in named if not covered(p, entries) and not any(e.startswith(p) for e in entries)
    )
    assert not missing


@pytest.mark.parametrize("stage", RUN)
def test_a_dvc_stage_declares_the_params_it_uses(stage):
    used: set[str] = set()
    for function in function_and_its_helpers(stage):
        for node in ast.walk(function):
            section = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute)
            if section and node.value.attr == "params" and node.attr in Params.model_fields:
                used.add(node.attr)
            passed = isinstance(node, ast.Call) and any(
                isinstance(a, ast.Attribute) and a.attr == "params" for a in node.args
            )
            if passed or (isinstance(node, ast.Attribute) and node.attr == "model_dump"):
                used.add("all")
    stated = {p.split(".")[0] for p in declared(stage, "params")}
    assert used - {"all"} <= stated
    assert "all" not in used or stated == set(Params.model_fields) - OPERATING
