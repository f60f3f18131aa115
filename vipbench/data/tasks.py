"""Task files and suites: finds, loads and checks them, and imports the reader of a task."""

import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from types import ModuleType

from vipbench.data.suites import Suite
from vipbench.errors import TaskError, nearest
from vipbench.images.shapes.registry import shape_names
from vipbench.prompts.expressions import SWEEPS, parse_styles
from vipbench.prompts.mentions import (
    FIELD,
    MARK_FIELDS,
    SAMPLE_FIELDS,
    is_field,
    refer_mistakes,
)
from vipbench.prompts.styles import load_styles
from vipbench.schema import DataSource, Problem, PromptStyle, Sample, TaskSpec
from vipbench.validation import YamlMapping, checked, read_yaml

Reader = Callable[[DataSource], Iterator[Sample | Problem]]

ENTRY_POINTS = "vipbench.tasks"
"""Group of the entry points by which an installed package offers task files."""
REFERENCE_KEYS = ("samples", "numbers")


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
            raise TaskError(f"--include {folder}: no such folder · give one that holds task files")
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
                f"plugin {entry.name!r} ({ENTRY_POINTS}): {entry.value!r} is not a package that can"
                " be found · expected the name of one that holds task files"
            )
        folders.extend(map(Path, spec.submodule_search_locations))
    return tuple(folders)


def find_tasks(include: Sequence[Path] = ()) -> dict[str, Path]:
    """Map each task's name (the stem of its file) to its file; TaskError for a name used twice."""
    return find_files(include, ".", "styles")


def find_suites(include: Sequence[Path] = ()) -> dict[str, Path]:
    """Map each suite's name to its file in a `suites` folder; TaskError for a name used twice."""
    return find_files(include, "suites")


def find_files(include: Sequence[Path], folder: str, *others: str) -> dict[str, Path]:
    """Map names to YAML files in a subfolder of all task folders; TaskError for a name used twice.

    `others` are names of files that are something else.
    """
    files: dict[str, Path] = {}
    for parent in task_folders(include):
        for path in sorted((parent / folder).glob("*.yaml")):
            if path.stem in others:
                continue
            if path.stem in files:
                raise TaskError(f"{path}: the name {path.stem!r} is taken by {files[path.stem]}")
            files[path.stem] = path
    return files


def named_file(files: Mapping[str, Path], name: str, fault: str, listing: str) -> Path:
    """Return the file of a name; TaskError says `fault`, the nearest name, or what lists them."""
    if name not in files:
        raise TaskError(f"{fault}{nearest(name, files, listing)}")
    return files[name]


def _other_kind(name: str, include: Sequence[Path], but: str) -> str:
    """Say what a name stands for that is none of the kind `but`; empty where it is no name."""
    kinds: dict[str, tuple[Container[str], str]] = {
        "task": (find_tasks(include), f"it is a task · give --tasks {name}"),
        "suite": (find_suites(include), f"it is a suite · give --suite {name}"),
        "style": ({**all_styles(include), **SWEEPS}, f"it is a style · give --styles {name}"),
    }
    said = [words for kind, (names, words) in kinds.items() if kind != but and name in names]
    return f": {said[0]}" if said else ""


def load_task(name: str, include: Sequence[Path] = ()) -> TaskSpec:
    """Load one task by name; TaskError names every mistake of a broken file at once."""
    tasks = find_tasks(include)
    if name not in tasks and (other := _other_kind(name, include, "task")):
        raise TaskError(f"task {name!r} is unknown{other}")
    path = named_file(tasks, name, f"task {name!r} is unknown", "vipbench ls tasks")
    content = read_yaml(path)
    mistakes = [
        *_name_mistakes(content, path),
        *_kind_mistakes(content, tasks),
        *_reader_mistakes(content.get("reader"), path),
        *_template_mistakes(content.get("template")),
        *_drawn_mistakes("templates", content.get("templates"), _template_mistakes),
        *_drawn_mistakes("refer", content.get("refer"), lambda form: refer_mistakes(form, "refer")),
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


def data_keys(include: Sequence[Path] = ()) -> frozenset[str]:
    """Return the keys of data that any task file states, broken ones as far as they can be read."""
    keys: set[str] = set()
    for path in find_tasks(include).values():
        try:
            data = read_yaml(path).get("data")
        except TaskError:
            continue  # whoever asks that task says so
        keys |= {data} if isinstance(data, str) else set()
    return frozenset(keys)


def _name_mistakes(content: YamlMapping, path: Path) -> list[str]:
    name = content.get("name")
    if not isinstance(name, str) or name == path.stem:
        return []
    return [f"name {name!r} is not the file's name {path.stem!r}"]


def _kind_mistakes(content: YamlMapping, tasks: Mapping[str, Path]) -> list[str]:
    """Check what differs between a joint task and the others: `data`, and how they are read."""
    data = content.get("data")
    if content.get("kind") != "joint":
        mistakes = [] if content.get("reader") else ["key 'reader' is missing"]
        if isinstance(data, list):
            mistakes.append(
                "data is a list, which only kind 'joint' takes · expected one key or path"
            )
        return mistakes
    others = ("reader", "boxes", "exif")
    mistakes = [f"kind 'joint' takes no {key!r}" for key in others if content.get(key)]
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
            f"template has {len(template)} turns · expected an odd number, the last a user's"
        )
    return mistakes + [
        f"template holds {{{field}}}{nearest(field, (*SAMPLE_FIELDS, *MARK_FIELDS))}"
        for field in fields
        if not is_field(field)
    ]


def _drawn_mistakes(
    key: str, texts: object, mistakes_of: Callable[[object], list[str]]
) -> list[str]:
    """Check texts that a key has by what is drawn on each region."""
    if not isinstance(texts, dict):
        return []
    known = shape_names()
    mistakes = [
        f"{key} of {drawn!r}: shape {shape!r} is unknown{nearest(shape, known)}"
        for drawn in map(str, texts)
        for shape in drawn.split("+")
        if shape not in known
    ]
    return mistakes + [mistake for text in texts.values() for mistake in mistakes_of(text)]


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
    suites = find_suites(include)
    if name not in suites and (other := _other_kind(name, include, "suite")):
        raise TaskError(f"suite {name!r} is unknown{other}")
    path = named_file(suites, name, f"suite {name!r} is unknown", "vipbench ls suites")
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
        f"limits: {task!r} is not a task of the suite{nearest(str(task), known)}"
        for task in (limits if isinstance(limits, dict) else ())
        if str(task) not in known
    ]


def all_styles(include: Sequence[Path] = ()) -> dict[str, PromptStyle]:
    """Load the named styles of all task folders."""
    return load_styles(task_folders(include))


# --- readers


def import_reader(spec: TaskSpec) -> Reader:
    """Import a task's reader from the file beside its YAML; TaskError where that fails."""
    if spec.reader is None or spec.path is None:
        raise TaskError(f"task {spec.name!r} has no reader of its own; its parts are {spec.data}")
    path, function = _reader_file(spec.reader, spec.path)
    reader = getattr(_module(path.resolve()), function, None)
    if not callable(reader):
        raise TaskError(f"{spec.path}: reader {spec.reader!r}: {path} has no function {function!r}")
    return reader  # type: ignore[no-any-return]  # a plugin's function; its records are checked


def import_files(spec: TaskSpec) -> Callable[[DataSource], DataSource] | None:
    """Import what makes files of a task's data: `as_files(source, function)` beside its reader.

    None where there is none: the data are files already.
    """
    if spec.reader is None or spec.path is None:
        return None
    path, function = _reader_file(spec.reader, spec.path)
    as_files = getattr(_module(path.resolve()), "as_files", None)
    return partial(as_files, function=function) if callable(as_files) else None


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
        raise TaskError(f"{path}: cannot be imported · expected a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        del sys.modules[name]
        reason = " ".join(str(error).split())
        raise TaskError(f"{path}: the reader cannot be imported ({reason})") from error
    return module
