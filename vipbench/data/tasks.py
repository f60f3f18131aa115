"""Task files and suites: find, load and check them, import their reader, yield samples."""

import hashlib
import importlib.metadata
import importlib.util
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

from vipbench.errors import DataError, TaskError, nearest
from vipbench.images.decode import image_size, safe_path
from vipbench.images.geometry import bounds, inside_image, intersects_image, is_inverted
from vipbench.mentions import FIELD, LETTERS, mentioning, mentions
from vipbench.prompts.styles import load_styles, parse_styles
from vipbench.schema import (
    DataSource,
    Polygon,
    Problem,
    PromptStyle,
    Region,
    Sample,
    Suite,
    TaskSpec,
)
from vipbench.validation import YamlMapping, checked, read_yaml, shown

Reader = Callable[[DataSource], Iterator[Sample | Problem]]

ENTRY_POINTS = "vipbench.tasks"
SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a character, which JSON can spell and UTF-8 cannot."""
TEMPLATE_FIELDS = (
    "question",
    "choices",
    "given_answer",
    "given_choices",
    "given_target",
    "mark",
)
REFERENCE_KEYS = ("samples", "numbers")
FARTHEST = 1_000_000
"""px from the origin that a coordinate may lie; marks that reach farther take minutes to draw."""


def task_folders(include: Sequence[Path] = ()) -> tuple[Path, ...]:
    """List the folders that task files are looked for in: built in, installed plugins, `--include`.

    Each folder is listed once, however often it is named. Raises TaskError for an included folder
    that does not exist, and for a plugin that names no package.
    """
    packaged = Path(__file__).parent.parent / "_tasks"
    folders = [packaged if packaged.is_dir() else Path(__file__).parent.parent.parent / "tasks"]
    folders.extend(_plugin_folders())
    for folder in include:
        if not folder.is_dir():
            raise TaskError(f"--include {folder}: no such folder; give one that holds task files")
        folders.append(folder)
    return tuple({folder.resolve(): folder for folder in reversed(folders)}.values())[::-1]


@cache
def _plugin_folders() -> tuple[Path, ...]:
    folders: list[Path] = []
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            spec = importlib.util.find_spec(entry.value)
        except (ImportError, ValueError):
            spec = None
        if spec is None or not spec.submodule_search_locations:
            raise TaskError(
                f"plugin {entry.name!r} ({ENTRY_POINTS}): {entry.value!r} is no package that can be"
                " found; expected the name of one that holds task files"
            )
        folders.extend(map(Path, spec.submodule_search_locations))
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
    content = read_yaml(path)
    mistakes = [
        *_name_mistakes(content, path),
        *_kind_mistakes(content, found),
        *_reader_mistakes(content.get("reader"), path),
        *_template_mistakes(content.get("template")),
        *_style_mistakes(content.get("styles"), all_styles(include)),
    ]
    reference = content.get("reference")
    for key in reference if isinstance(reference, dict) else ():
        if key not in REFERENCE_KEYS:
            mistakes.append(f"reference: unknown key {key!r}{nearest(str(key), REFERENCE_KEYS)}")
    if "path" in content:
        mistakes.append("unknown key 'path'")
    content["path"] = path
    return checked(TaskSpec, content, str(path), mistakes)


def _name_mistakes(content: YamlMapping, path: Path) -> list[str]:
    name = content.get("name")
    if not isinstance(name, str) or name == path.stem:
        return []
    return [f"name {name!r} is not the file's name {path.stem!r}"]


def _kind_mistakes(content: YamlMapping, tasks: Mapping[str, Path]) -> list[str]:
    """Check what differs between a joint task and the others: `reader` and `data`."""
    data = content.get("data")
    if content.get("kind") != "joint":
        mistakes = [] if content.get("reader") else ["key 'reader' is missing"]
        if isinstance(data, list):
            mistakes.append(
                "data is a list, which only kind 'joint' takes; expected one key or path"
            )
        return mistakes
    mistakes = ["kind 'joint' takes no 'reader'"] if content.get("reader") else []
    if not isinstance(data, list) or len(data) < 2:
        return [*mistakes, "kind 'joint' needs 'data' to list the tasks that are joined"]
    for task in map(str, data):
        if task not in tasks:
            mistakes.append(f"data: task {task!r} is unknown{nearest(task, tasks)}")
        elif tasks[task].stem == content.get("name"):
            mistakes.append(f"data: task {task!r} is joined with itself")
    return mistakes


def _reader_mistakes(reader: object, path: Path) -> list[str]:
    if not isinstance(reader, str):
        return []
    try:
        _reader_file(reader, path)
    except TaskError as error:
        return [str(error)]
    return []


def _template_mistakes(template: object) -> list[str]:
    turns = template if isinstance(template, list) else [template]
    fields = dict.fromkeys(
        field for turn in turns if isinstance(turn, str) for field in FIELD.findall(turn)
    )
    mistakes = []
    if isinstance(template, list) and len(template) % 2 == 0:
        mistakes.append(
            f"template has {len(template)} turns; expected an odd number, the last a user's"
        )
    return mistakes + [
        f"template holds {{{field}}}{nearest(field, TEMPLATE_FIELDS)}"
        for field in fields
        if field not in TEMPLATE_FIELDS
    ]


def _style_mistakes(styles: object, known: Mapping[str, PromptStyle]) -> list[str]:
    mistakes = []
    for style in styles if isinstance(styles, list) else ():
        try:
            parse_styles(str(style), known)
        except TaskError as error:
            mistakes.append(f"styles: {error}")
    return mistakes


def load_suite(name: str, include: Sequence[Path] = ()) -> Suite:
    """Load one suite by name; TaskError for mistakes, unknown tasks and unknown styles."""
    found = find_suites(include)
    if name not in found:
        raise TaskError(f"suite {name!r} is unknown{nearest(name, found)}")
    path = found[name]
    content = read_yaml(path)
    known = find_tasks(include)
    tasks = content.get("tasks")
    mistakes = [
        *_name_mistakes(content, path),
        *(
            f"task {task!r} is unknown{nearest(task, known)}"
            for task in map(str, tasks if isinstance(tasks, list) else ())
            if task not in known
        ),
        *_style_mistakes(content.get("styles"), all_styles(include)),
        *_limit_mistakes(content.get("limits"), tasks),
    ]
    return checked(Suite, content, str(path), mistakes)


def _limit_mistakes(limits: object, tasks: object) -> list[str]:
    known = [str(task) for task in (tasks if isinstance(tasks, list) else ())]
    return [
        f"limits: {task!r} is no task of the suite{nearest(str(task), known)}"
        for task in (limits if isinstance(limits, dict) else ())
        if str(task) not in known
    ]


def all_styles(include: Sequence[Path] = ()) -> dict[str, PromptStyle]:
    """Load the named styles of all task folders."""
    return load_styles(task_folders(include))


def load_samples(spec: TaskSpec, source: DataSource) -> Iterator[Sample | Problem]:
    """Read a task's samples and check each; one that cannot be used is yielded as its problem.

    A warning Problem comes just before the sample that it is about. Raises TaskError where the
    reader cannot be imported or breaks its contract, and DataError where a file as a whole is
    broken.
    """
    seen: set[str] = set()
    records = _reader(spec)(source)
    if not isinstance(records, Iterable):
        raise TaskError(
            f"{spec.path}: reader {spec.reader!r} returned {shown(records)}; {_CONTRACT}"
        )
    for record in records:
        if not isinstance(record, Sample | Problem):
            raise TaskError(
                f"{spec.path}: reader {spec.reader!r} gave {shown(record)}; {_CONTRACT}"
            )
        fault = None
        if SURROGATE.search(record.id):
            record = record.model_copy(update={"id": ascii(record.id)})
            fault = ("bad_text", "the id holds half a character (a lone surrogate)")
        if isinstance(record, Problem):
            yield record
            continue
        fault = fault or _fault(record, spec)
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
                message=f"{dropped} polygons: fewer than 3 vertices, or one beyond {FARTHEST} px",
                warning=True,
            )
        yield record.model_copy(update={"task": spec, "regions": regions})


_CONTRACT = "expected an iterator of Sample and Problem records"


def _texts(sample: Sample) -> Iterator[str]:
    """Yield every text of a sample that goes on to a model, a file or a table."""
    yield from mentioning(sample)
    yield from (sample.given_target, *sample.choice_ids)
    yield from (sample.image, sample.target, sample.group)
    yield from (region.label for region in sample.regions)
    for axis, values in sample.tags.items():
        yield from (axis, *values)


def _fault(sample: Sample, spec: TaskSpec) -> tuple[str, str] | None:
    """Return code and message of the first thing that makes a sample unusable."""
    letters = LETTERS[: len(sample.choices)]
    if not sample.id:
        return "no_id", "has an empty id; expected a name of its own"
    for text in _texts(sample):
        if SURROGATE.search(text):
            return "bad_text", f"{shown(text)} holds half a character (a lone surrogate)"
    if (spec.kind == "choice" and len(sample.choices) < 2) or len(sample.choices) > len(LETTERS):
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
        if max(map(abs, region.box)) > FARTHEST:
            return "box_too_far", f"box {_show(region)} reaches beyond {FARTHEST:,} px"
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
            if len(polygon) >= 3 and all(abs(v) <= FARTHEST for point in polygon for v in point)
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
        size = image_size(path)
    except DataError as error:
        missing = isinstance(error.__cause__, FileNotFoundError | NotADirectoryError)
        code = "missing_image" if missing else "bad_image"
        return None, [problem(code, str(error))]
    problems = []
    for region in sample.regions:
        if not intersects_image(region.box, size):
            where = f"box {_show(region)} is wholly outside the image of {size[0]} x {size[1]} px"
            return None, [problem("box_outside", where)]
        if region.polygons and not _reaches(region.polygons, size):
            where = f"no polygon reaches into the image of {size[0]} x {size[1]} px"
            return None, [problem("polygon_outside", where)]
        if not inside_image(region.box, size):
            where = (
                f"box {_show(region)} is partly outside {size[0]} x {size[1]} px; drawn as given"
            )
            problems.append(problem("box_partly_outside", where, warning=True))
    return sample.model_copy(update={"image_size": size}), problems


def _reaches(polygons: Sequence[Polygon], size_wh: tuple[int, int]) -> bool:
    """Say whether anything of a mark along these polygons can be seen."""
    width, height = size_wh
    corners = (corner for polygon in polygons for corner in polygon)
    if any(0 <= x <= width and 0 <= y <= height for x, y in corners):
        return True
    return any(intersects_image(bounds([polygon]), size_wh) for polygon in polygons)


def _show(region: Region) -> str:
    return "[" + ", ".join(f"{value:g}" for value in region.box) + "]"


def _reader(spec: TaskSpec) -> Reader:
    """Import a task's reader from the file beside its YAML."""
    if spec.reader is None or spec.path is None:
        raise TaskError(f"task {spec.name!r} has no reader of its own; its parts are {spec.data}")
    path, function = _reader_file(spec.reader, spec.path)
    reader = getattr(_module(path.resolve()), function, None)
    if not callable(reader):
        raise TaskError(f"{spec.path}: reader {spec.reader!r}: {path} has no function {function!r}")
    return reader  # type: ignore[no-any-return]  # a plugin's function; its records are checked


def _reader_file(reader: str, task: Path) -> tuple[Path, str]:
    """Return the file and the function that a task file's `reader` names."""
    folder = task_folders()[0] if reader == "jsonl" else task.parent
    name = "jsonl.py:read" if reader == "jsonl" else reader
    file, _, function = name.partition(":")
    if not function.isidentifier() or Path(file).name != file or not file.endswith(".py"):
        raise TaskError(f"reader {reader!r}: expected 'jsonl', or file.py:function beside the task")
    if not (folder / file).is_file():
        files = [path.name for path in folder.glob("*.py")]
        raise TaskError(f"reader {reader!r}: {folder / file} does not exist{nearest(file, files)}")
    return folder / file, function


@cache
def _module(path: Path) -> ModuleType:
    # The name is this file's alone; dataclasses and pydantic look their module up by it.
    name = f"vipbench_reader_{path.stem}_{hashlib.sha256(bytes(path)).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TaskError(f"{path}: cannot be imported; expected a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        del sys.modules[name]
        reason = " ".join(str(error).split())
        raise TaskError(f"{path}: the reader cannot be imported ({reason})") from error
    return module
