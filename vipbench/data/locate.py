"""Where the data of a key are: named on the command line, beside the task, or in the cache.

Knows nothing of tasks or models.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from vipbench.data.cache import find_fetched
from vipbench.data.image_rows import HUB_ID, as_files, load_from_hub, with_rows, write_rows
from vipbench.errors import DataError, DataNotFound, nearest, suggested
from vipbench.files import NOT_REGULAR
from vipbench.schema import BoxUnits, DataSource, ExifRule
from vipbench.validation import read_yaml, shown

KEYS = ("visual7w", "pointqa", "vcr", "vip_bench")
"""Keys of the built-in tasks that the embedded benchmark has data for."""
OTHER_KEYS = ("gar_bench", "vpbench", "blink", "vp_bench", "inst_it")
"""Keys of the other built-in tasks."""
PATHS = ("questions", "images")
"""What a YAML file must say of a key."""
STATEMENTS = {"boxes": get_args(BoxUnits), "exif": get_args(ExifRule)}
"""What it may say besides."""


def parse_data_options(options: Sequence[str]) -> dict[str, DataSource]:
    """Read `--data` values: `KEY=DIR`, `KEY=FILE`, or a YAML file `{KEY: {questions, images}}`.

    Paths in a YAML file are relative to it; `images` may be a list of folders. Beside them it may
    say what `boxes` and `exif` are, as a task file does. Raises DataError for unknown forms,
    missing paths and a key that is given twice.
    """
    sources: dict[str, DataSource] = {}
    for option in options:
        named = _data_option(option)
        for key in named:
            if key in sources:
                raise DataError(f"--data {option}: {key} is given twice · give each key once")
        sources.update(named)
    return sources


def _data_option(option: str) -> dict[str, DataSource]:
    key, equals, value = option.partition("=")
    if option.endswith((".yaml", ".yml")) and (not equals or Path(option).is_file()):
        return _data_file(Path(option).expanduser())
    if not (key and value):
        raise DataError(
            f"--data {option}: expected KEY=DIR (keys: {', '.join((*KEYS, *OTHER_KEYS))}),"
            " KEY=FILE or a YAML file"
        )
    path = Path(value).expanduser()
    if not path.exists():
        raise DataError(
            f"--data {option}: {value} does not exist · give an existing folder or file"
        )
    if not (path.is_file() or path.is_dir()):
        raise DataError(f"--data {option}: {NOT_REGULAR} · expected a file or a folder")
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        raise DataError(
            f"--data {option}: expected a folder or a question file, not a YAML file · give --data "
            f"{value}, with `{key}: {{questions: …, images: …}}` in it"
        )
    return {key: DataSource(path, path if path.is_dir() else path.parent)}


def _data_file(path: Path) -> dict[str, DataSource]:
    mistakes = []
    sources: dict[str, DataSource] = {}
    for key, entry in read_yaml(path, DataError).items():
        wrong = _source_mistakes(entry, path.parent)
        mistakes += [f"{key}: {mistake}" for mistake in wrong]
        if not wrong:
            first, *more = [path.parent / Path(root).expanduser() for root in _roots(entry)]
            questions = path.parent / Path(entry["questions"]).expanduser()
            sources[key] = DataSource(
                questions, first, tuple(more), boxes=entry.get("boxes"), exif=entry.get("exif")
            )
    if mistakes:
        raise DataError(f"--data {path}: {'; and '.join(mistakes)}")
    return sources


def _source_mistakes(entry: object, folder: Path) -> list[str]:
    fields = (*PATHS, *STATEMENTS)
    if not isinstance(entry, dict):
        return [f"expected the keys 'questions' and 'images', not {shown(entry)}"]
    mistakes = [
        f"unknown key {key!r}{nearest(str(key), fields)}" for key in entry if key not in fields
    ]
    for field, known in STATEMENTS.items():
        if entry.get(field) not in (None, *known):
            mistakes.append(f"{field} is {shown(entry[field])} · expected {', '.join(known)}")
    for field in PATHS:
        stated = entry.get(field)
        paths: list[Any] = _roots(entry) if field == "images" else [stated]
        if not paths or not all(isinstance(path, str) for path in paths):
            several = " or a list of paths" if field == "images" else ""
            mistakes.append(f"{field} is {shown(stated)} · expected a path{several}")
            continue
        for path in paths:
            if not (folder / Path(path).expanduser()).exists():
                mistakes.append(f"{field}: {path} does not exist (relative to the file)")
    return mistakes


def _roots(entry: dict[Any, Any]) -> list[Any]:
    """List the image folders of an entry, which may state one or several."""
    images = entry.get("images")
    return images if isinstance(images, list) else [images]


def locate(
    key: str,
    overrides: Mapping[str, DataSource],
    base: Path | None = None,
    *,
    of_rows: bool = False,
    as_it_is: bool = False,
) -> DataSource:
    """Find the data of a key: named by the user, beside the task, or fetched into the cache.

    A folder that `datasets` has saved, or an id on its hub (`owner/name`, with `:split` and
    `@revision` behind it), is written once as JSON lines and image files into the cache.

    Args:
        key: of the data, a path, or an id on the hub.
        overrides: what the user has named by key.
        base: the task's folder, to which a path is relative.
        of_rows: the task has reader `jsonl`, so that parquet, and JSON with images in it, are
            written so, too.
        as_it_is: leave rows to the task's reader, which makes files of them itself.

    Raises:
        DataNotFound: Nothing is found; says which option to give.
        DataError: What is found cannot be used.
    """
    prepare = with_rows if of_rows else as_files
    if key in overrides:
        source = overrides[key]
        for path in (source.questions, source.images, *source.more_images):
            if not path.exists():
                raise DataError(f"data {key!r}: {path} does not exist · give an existing folder")
        return source if as_it_is else prepare(source)
    if base is not None and (base / key).exists():
        path = base / key
        return prepare(DataSource(path, path if path.is_dir() else path.parent))
    folder = find_fetched(key)
    if folder is not None:
        return DataSource(folder, folder)
    if re.fullmatch(HUB_ID, key) and not (base and (base / key).parent.exists()):
        return write_rows(load_from_hub(key), key)
    raise DataNotFound(not_found([key], overrides))


def check_keys(
    given: Collection[str], asked: Collection[str], of_others: Callable[[], Collection[str]]
) -> None:
    """Refuse keys that no task uses, which nobody would look at; DataError suggests the nearest.

    Args:
        given: by the user, with their data.
        asked: keys of the tasks that are asked.
        of_others: reads the keys of all tasks that are known, where others were given.
    """
    unknown = [key for key in given if key not in (*asked, *KEYS, *OTHER_KEYS)]
    if not unknown:
        return
    others = of_others()
    known = {*asked, *others, *KEYS, *OTHER_KEYS}
    faults = [
        f"--data {key}: no task uses this key{suggested(key, asked) or nearest(key, known)}"
        for key in unknown
        if key not in others
    ]
    if faults:
        raise DataError("; and ".join(faults))


def not_found(keys: Sequence[str], overrides: Mapping[str, DataSource]) -> str:
    """Say that the data of one or more keys are nowhere, and how to get them."""
    fetched = " ".join(key for key in keys if key in (*KEYS, *OTHER_KEYS))
    fetch = f", or `vipbench data fetch {fetched}`" if fetched else ""
    if set(keys) <= set(KEYS):
        fetch += "; `vipbench run --suite demo` has synthetic data of its own"
    if len(keys) > 1:
        known, option, each = f" · known: {', '.join(overrides)}", "KEY", ", for each"
    else:
        known, option, each = nearest(keys[0], overrides), keys[0], ""
    return (
        f"data {', '.join(map(repr, keys))}: not found anywhere{known if overrides else ''} · "
        f"give --data {option}=DIR, the release's folder{each}{fetch}"
    )
