"""The layers of the package: imports go downward, and heavy libraries stay where they belong."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import vipbench

PACKAGE = Path(vipbench.__file__).parent
LAYERS = (
    ("_version", "errors", "schema", "console", "option"),
    ("stats", "environment", "files", "forked", "reading", "spool", "validation"),
    ("digests",),
    ("images", "geometry", "runfolder", "endpoints"),
    ("prompts",),
    ("data", "scoring"),
    ("exchange", "report", "trials"),
    ("analysis", "extractor", "judge", "runners"),
    ("demo", "engine", "html", "trackers"),
    ("run",),
    ("api", "certify", "sequential"),
    ("bench", "training"),
    ("kit", "planning"),
    ("cli",),
)
RANK = {module: rank for rank, layer in enumerate(LAYERS) for module in layer}
TOP = ("vipbench", "api")
"""The package itself and what it exports; they may import any layer and nothing imports them."""

HEAVY = ("torch", "transformers", "tokenizers", "safetensors", "accelerate")
SLOW = ("pandas", "datasets", "numpy", "PIL", "scipy", "matplotlib")
MAY_BE_HEAVY = ("runners", "bench", "demo", "training")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    """Return the layer's name of a module: its file or its folder below the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "vipbench" if parts == ("__init__",) else parts[0]


@cache
def imported(path: Path) -> tuple[str, ...]:
    """Return all imported modules, `from a import b` as `a.b`: b may be a module or a name."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_files_are_short_and_few_lie_outside_of_rooms() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {path: n for path, n in lines.items() if n > 620} == {}
    assert len(list(PACKAGE.glob("*.py"))) <= 16


def test_every_module_has_a_layer() -> None:
    unknown = {part(path) for path in modules()} - set(RANK) - set(TOP)
    assert not unknown, f"give {unknown} a layer in LAYERS"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    if part(path) in TOP:
        return
    for name in imported(path):
        root, _, rest = name.partition(".")
        if root != "vipbench" or rest == "__version__":
            continue
        other = rest.partition(".")[0]
        assert other in RANK, f"{path.name} imports {name}"
        assert RANK[other] <= RANK[part(path)], f"{path.name} imports {name} from a higher layer"


def test_no_import_is_circular() -> None:
    graph: dict[str, set[str]] = {}
    for path in modules():
        names = {name.split(".")[1] for name in imported(path) if name.startswith("vipbench.")}
        graph.setdefault(part(path), set()).update(names - {part(path)})
    done: set[str] = set()
    while len(done) < len(graph):
        free = {module for module in graph if graph[module] & set(graph) <= done} - done
        assert free, f"circular: {set(graph) - done}"
        done |= free


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_libraries_are_imported_only_by_runners_and_training(path: Path) -> None:
    heavy = {name for name in imported(path) if name.split(".")[0] in HEAVY}
    assert not heavy or part(path) in MAY_BE_HEAVY, f"{path.name} imports {heavy}"


APART = {
    "analysis": {"runners", "engine", "run"},
    "images": {"prompts", "data", "trials", "runfolder", "endpoints", "scoring"},
    "prompts": {"data", "trials", "runfolder", "run"},
    "runfolder": {"run", "engine", "trials"},
    "scoring": {"report", "judge"},
}
"""Packages that know nothing of some others, whatever their layers."""


@pytest.mark.parametrize("package", APART)
def test_packages_are_kept_apart(package: str) -> None:
    for path in (PACKAGE / package).rglob("*.py"):
        others = {name.split(".")[1] for name in imported(path) if name.startswith("vipbench.")}
        assert not others & APART[package], f"{path} imports {others & APART[package]}"


def loaded_after(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after some code."""
    program = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import vipbench.cli, sys\n"
        "sys.argv = ['vipbench', '--help']\n"
        "try: vipbench.cli.main()\n"
        "except SystemExit as end: assert end.code == 0"
    )
    loaded = loaded_after(code)
    assert "typer" in loaded
    assert not loaded & {*HEAVY, *SLOW}


def faces() -> list[str]:
    """Return the package and all packages in it."""
    found = sorted(path.parent.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("__init__.py"))
    return [".".join(folder.parts) for folder in found]


@pytest.mark.parametrize("face", faces())
def test_a_face_loads_nothing_heavy(face: str) -> None:
    loaded = loaded_after(f"import {face}")
    assert "vipbench" in loaded
    assert not loaded & {*HEAVY, *SLOW}


@pytest.mark.parametrize("face", faces())
def test_a_face_says_what_it_is_for(face: str) -> None:
    path = PACKAGE.parent.joinpath(*face.split("."), "__init__.py")
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert said
    assert len(said.splitlines()[0].split()) > 5


@pytest.mark.parametrize(
    "module",
    [
        "vipbench",
        "vipbench.certify",
        "vipbench.trials.check",
        "vipbench.engine.loaders",
        "vipbench.report.leaderboard",
        "vipbench.images.contact_sheet",
        "vipbench.runfolder.folder",
    ],
)
def test_what_needs_no_model_starts_without_torch(module: str) -> None:
    loaded = loaded_after(f"import {module}")
    assert "vipbench" in loaded
    assert not loaded & set(HEAVY)


def test_drawing_sees_no_task_scoring_no_model_runners_no_sample() -> None:
    forbidden = {
        "images/draw.py": {"data", "prompts"},
        "scoring/scorers.py": {"runners", "engine", "images"},
        **{
            path.relative_to(PACKAGE).as_posix(): {"prompts", "scoring", "data"}
            for path in (PACKAGE / "runners").rglob("*.py")
        },
    }
    for name, modules_ in forbidden.items():
        names = set(imported(PACKAGE / name))
        seen = {n.split(".")[1] for n in names if n.startswith("vipbench.")}
        assert not seen & modules_, f"{name} imports {seen & modules_}"
