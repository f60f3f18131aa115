"""Task files and suites: find, load and check them, import their reader, yield samples."""

import importlib.metadata
import importlib.util
import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from vipbench.data import image_size, safe_path
from vipbench.errors import DataError, TaskError, nearest
from vipbench.geometry import inside_image, intersects_image, is_inverted
from vipbench.schema import (
    DataSource,
    Problem,
    PromptStyle,
    Region,
    Sample,
    Suite,
    TaskSpec,
    checked,
    read_yaml,
)
from vipbench.styles import load_styles

Reader = Callable[[DataSource], Iterator[Sample | Problem]]

ENTRY_POINTS = "vipbench.tasks"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MENTION = re.compile(r"<r(\d+)>")
"""Where a text mentions a region; the number is its place in `Sample.regions`."""
TEMPLATE_FIELDS = ("question", "choices", "given_answer", "mark")


def task_folders(include: Sequence[Path] = ()) -> tuple[Path, ...]:
    """List the folders that task files are looked for in: built in, installed plugins, `--include`.

    Raises TaskError for an included folder that does not exist.
    """
    packaged = Path(__file__).parent / "_tasks"
    folders = [packaged if packaged.is_dir() else Path(__file__).parent.parent / "tasks"]
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        spec = importlib.util.find_spec(entry.value)
        folders.extend(Path(place) for place in (spec and spec.submodule_search_locations) or ())
    for folder in include:
        if not folder.is_dir():
            raise TaskError(f"--include {folder}: no such folder; give one that holds task files")
        folders.append(folder)
    return tuple(folders)


def find_tasks(include: Sequence[Path] = ()) -> dict[str, Path]:
    """Map each task's name (the stem of its file) to its file; TaskError for a name used twice."""
    return _find(include, ".", "styles")


def find_suites(include: Sequence[Path] = ()) -> dict[str, Path]:
    """Map each suite's name to its file in a `suites` folder; TaskError for a name used twice."""
    return _find(include, "suites")


def _find(include: Sequence[Path], folder: str, *others: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for place in task_folders(include):
        for path in sorted((place / folder).glob("*.yaml")):
            if path.stem in others:
                continue
            if path.stem in found:
                raise TaskError(f"{path}: the name {path.stem!r} is taken by {found[path.stem]}")
            found[path.stem] = path
    return found


def load_task(name: str, include: Sequence[Path] = ()) -> TaskSpec:
    """Load one task by name; TaskError names every mistake of a broken file at once."""
    found = find_tasks(include)
    if name not in found:
        raise TaskError(f"task {name!r} is unknown{nearest(name, found)}")
    path = found[name]
    spec = checked(TaskSpec, {**read_yaml(path), "path": path}, str(path))
    mistakes = []
    if spec.name != path.stem:
        mistakes.append(f"name {spec.name!r} is not the file's name {path.stem!r}")
    if (spec.kind == "joint") != (spec.reader is None):
        mistakes.append("kind 'joint' has no 'reader'; every other kind needs one")
    if (spec.kind == "joint") != isinstance(spec.data, tuple):
        mistakes.append("'data' is a list of tasks for kind 'joint', else one key")
    for field in re.findall(r"\{(\w+)\}", spec.template):
        if field not in TEMPLATE_FIELDS:
            mistakes.append(f"template holds {{{field}}}{nearest(field, TEMPLATE_FIELDS)}")
    if mistakes:
        raise TaskError(f"{path}: {'; and '.join(mistakes)}")
    return spec


def load_suite(name: str, include: Sequence[Path] = ()) -> Suite:
    """Load one suite by name; TaskError for mistakes and unknown tasks."""
    found = find_suites(include)
    if name not in found:
        raise TaskError(f"suite {name!r} is unknown{nearest(name, found)}")
    suite = checked(Suite, read_yaml(found[name]), str(found[name]))
    tasks = find_tasks(include)
    for task in suite.tasks:
        if task not in tasks:
            raise TaskError(f"{found[name]}: task {task!r} is unknown{nearest(task, tasks)}")
    return suite


def all_styles(include: Sequence[Path] = ()) -> dict[str, PromptStyle]:
    """Load the named styles of all task folders."""
    return load_styles(task_folders(include))


def load_samples(spec: TaskSpec, source: DataSource) -> Iterator[Sample | Problem]:
    """Read a task's samples and check each; one that cannot be used is yielded as its problem.

    A warning Problem comes just before the sample that it is about. Raises TaskError where the
    reader cannot be imported and DataError where a file as a whole is broken.
    """
    seen: set[str] = set()
    for record in _reader(spec)(source):
        if isinstance(record, Problem):
            yield record
            continue
        fault = _fault(record, spec)
        if fault is None and record.id in seen:
            fault = ("duplicate_id", "occurs more than once; expected one record an id")
        seen.add(record.id)
        if fault:
            yield Problem(id=record.id, code=fault[0], message=fault[1])
            continue
        regions, dropped = _usable_polygons(record.regions)
        if dropped:
            yield Problem(
                id=record.id,
                code="unusable_polygon",
                message=f"{dropped} polygons of fewer than 3 vertices or without finite coordinates",
                warning=True,
            )
        yield record.model_copy(update={"task": spec, "regions": regions})


def mentions(sample: Sample) -> Iterator[int]:
    """Yield the place of each region that the texts of a sample mention, in reading order."""
    for text in (sample.question, sample.given_answer, *sample.choices):
        for match in MENTION.finditer(text):
            yield int(match[1])


def _fault(sample: Sample, spec: TaskSpec) -> tuple[str, str] | None:
    """Return code and message of the first thing that makes a sample unusable."""
    letters = LETTERS[: len(sample.choices)]
    if spec.kind == "choice" and not 2 <= len(sample.choices) <= len(LETTERS):
        return "choices", f"has {len(sample.choices)} choices; expected 2 to {len(LETTERS)}"
    if spec.kind == "choice" and sample.target not in tuple(letters):
        return (
            "answer_not_in_options",
            f"target {sample.target!r} is not one of the choice letters {', '.join(letters)}",
        )
    if not sample.target.strip():
        return "no_target", "has an empty target; expected the right answer as text"
    for place in mentions(sample):
        if place >= len(sample.regions):
            return "mention", f"mentions <r{place}>, but has {len(sample.regions)} regions"
    if sample.target_region is not None and not 0 <= sample.target_region < len(sample.regions):
        return "mention", f"target_region {sample.target_region} is not one of its regions"
    for region in sample.regions:
        if not all(map(math.isfinite, region.box)):
            return "box_not_finite", f"box {_show(region)} holds no finite numbers"
        if is_inverted(region.box):
            return "box_inverted", f"box {_show(region)} is inverted; expected x0 <= x1, y0 <= y1"
    return None


def _usable_polygons(regions: tuple[Region, ...]) -> tuple[tuple[Region, ...], int]:
    dropped = 0
    kept = []
    for region in regions:
        polygons = tuple(
            polygon
            for polygon in region.polygons
            if len(polygon) >= 3 and all(math.isfinite(v) for point in polygon for v in point)
        )
        if len(polygons) < len(region.polygons):
            dropped += len(region.polygons) - len(polygons)
            region = region.model_copy(update={"polygons": polygons})
        kept.append(region)
    return tuple(kept), dropped


def inspect_image(sample: Sample, source: DataSource) -> tuple[Sample | None, list[Problem]]:
    """Read the header of a sample's image and hold its boxes against the image's size.

    Returns the sample with `image_size`, or None where it cannot be used, and its problems: an
    image that is missing or unreadable, or a box wholly outside, is an error; a box partly outside
    is a warning, and drawn as given.
    """

    def problem(code: str, message: str, *, warning: bool = False) -> Problem:
        return Problem(id=sample.id, code=code, message=message, warning=warning)

    try:
        path = safe_path(source.images, sample.image)
    except DataError as error:
        return None, [problem("unsafe_path", str(error))]
    try:
        size = _image_size(path)
    except DataError as error:
        code = "bad_image" if path.exists() else "missing_image"
        return None, [problem(code, str(error))]
    problems = []
    for region in sample.regions:
        if not intersects_image(region.box, size):
            where = f"box {_show(region)} is wholly outside the image of {size[0]} x {size[1]} px"
            return None, [problem("box_outside", where)]
        if not inside_image(region.box, size):
            where = f"box {_show(region)} is partly outside {size[0]} x {size[1]} px; drawn as given"
            problems.append(problem("box_partly_outside", where, warning=True))
    return sample.model_copy(update={"image_size": size}), problems


_image_size = lru_cache(maxsize=100_000)(image_size)


def _show(region: Region) -> str:
    return "[" + ", ".join(f"{value:g}" for value in region.box) + "]"


def _reader(spec: TaskSpec) -> Reader:
    """Import a task's reader from the file beside its YAML."""
    if spec.reader is None or spec.path is None:
        raise TaskError(f"task {spec.name!r} has no reader of its own; its parts are {spec.data}")
    name = "jsonl.py:read" if spec.reader == "jsonl" else spec.reader
    folder = task_folders()[0] if spec.reader == "jsonl" else spec.path.parent
    file, _, function = name.partition(":")
    if not function or Path(file).name != file or not file.endswith(".py"):
        raise TaskError(f"{spec.path}: reader {name!r}: expected file.py:function beside the task")
    reader = getattr(_module(folder / file), function, None)
    if not callable(reader):
        raise TaskError(f"{spec.path}: {file} has no function {function!r}")
    return reader  # type: ignore[no-any-return]  # a plugin's function; its records are checked


@lru_cache
def _module(path: Path) -> object:
    if not path.exists():
        raise TaskError(f"{path}: does not exist; expected the reader of a task file")
    spec = importlib.util.spec_from_file_location(f"vipbench_reader_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise TaskError(f"{path}: cannot be imported; expected a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
