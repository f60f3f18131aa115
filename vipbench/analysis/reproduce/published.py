"""Published numbers: the registry `results/reference/*.yaml`, one file for each benchmark."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from vipbench.data.tasks import all_styles, find_tasks
from vipbench.errors import TaskError, nearest
from vipbench.runfolder.summary import ALL
from vipbench.schema import Fit, Record
from vipbench.validation import checked, read_yaml, shown

LISTED_MISTAKES = 5


class Protocol(Record):
    """How a published number was made; None where it is unknown, and nothing is compared."""

    text: str = Field(min_length=1)
    style: str | None = None
    """Name of the style with the same marks and wording."""
    prompt_format: str | None = None
    """Such as `llava_v1`."""
    fit: Fit | None = None
    decoding: Literal["greedy", "official"] | None = None
    """`official`: sampled at T = 0.2 without a seed, as the released scripts do."""
    dtype: str | None = None
    judge: str | None = None
    """Model that graded the answers."""
    judge_runs: int | None = None
    """How often it graded an answer; the mean counts."""


class Published(Record):
    """One published number."""

    system: str = Field(min_length=1)
    models: tuple[str, ...] = ()
    """Hub ids that the number is about: the checkpoint itself first, then conversions of it."""
    task: str
    split: str
    metric: str
    group: str = Field(default=ALL, pattern=r"^(all|\w+=.+)$")
    """`all`, or one value of a breakdown axis: `capability=rec`."""
    value: float = Field(ge=0, le=100, strict=True)
    """Percent, as published."""
    n: Annotated[int, Field(gt=0, strict=True)] | None
    """Samples of the split (of the group); None where it is unknown."""
    table: str | None
    url: Annotated[str, Field(pattern=r"^https://\S+$")] | None
    """The paper or file that states the number; None where only a copy of it is known."""
    source: Literal["primary", "secondary"]
    """`primary`: read where the authors state it; `secondary`: read in other people's texts."""
    protocol: str
    """Name of an entry of `protocols` in the same file."""
    not_comparable: str | None = None
    """Why no run can be compared with the number."""
    remarks: str | None = None


class Registry(Record):
    """One file of published numbers."""

    title: str
    splits: dict[str, str]
    """The tasks that the numbers are about, and the split that each of them reads."""
    protocols: dict[str, Protocol]
    numbers: tuple[Published, ...] = Field(min_length=1)


def reference_folder() -> Path:
    """Return the folder of the registry: in a wheel it lies inside the package."""
    packaged = Path(__file__).parent.parent.parent / "_reference"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "results" / "reference"


def read_registry(folder: Path | None = None) -> tuple[Registry, ...]:
    """Read all files of published numbers, by default those of vipbench.

    Raises:
        TaskError: No file, or a broken one; names file, line, key and value of each mistake.
    """
    folder = folder or reference_folder()
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise TaskError(f"{folder}: holds no file of published numbers · expected *.yaml")
    return tuple(map(_read_file, paths))


def _read_file(path: Path) -> Registry:
    content = read_yaml(path)
    numbers = content.get("numbers")
    mistakes: list[str] = []
    records: list[Published] = []
    for index, fields in enumerate(numbers if isinstance(numbers, list) else ()):
        if not isinstance(fields, dict):
            mistakes.append(f"numbers[{index}] = {shown(fields)}: expected a mapping")
            continue
        try:
            records.append(checked(Published, fields, f"numbers[{index}]"))
        except TaskError as error:
            mistakes.append(str(error))
    if isinstance(numbers, list):
        content["numbers"] = records
    if mistakes:
        more = len(mistakes) - LISTED_MISTAKES
        mistakes[LISTED_MISTAKES:] = [f"and {more} more"] if more > 0 else []
        raise TaskError(f"{path}: {'; '.join(mistakes)}")
    registry = checked(Registry, content, str(path))
    mistakes = list(_inconsistencies(registry))
    if mistakes:
        raise TaskError(f"{path}: {'; '.join(mistakes)}")
    return registry


def _inconsistencies(registry: Registry) -> Iterable[str]:
    """Yield what is wrong between the entries of a file, or between them and the tasks."""
    known_tasks, known_styles = find_tasks(), all_styles()
    for task in registry.splits:
        if task not in known_tasks:
            yield f"splits: task {task!r} is unknown{nearest(task, known_tasks)}"
    for name, protocol in registry.protocols.items():
        if protocol.style is not None and protocol.style not in known_styles:
            hint = nearest(protocol.style, known_styles)
            yield f"protocols.{name}: style {protocol.style!r} is unknown{hint}"
    seen: set[Published] = set()
    for index, number in enumerate(registry.numbers):
        where = f"numbers[{index}]"
        if number.task not in registry.splits:
            yield f"{where}: task {number.task!r} is not in splits"
        if number.protocol not in registry.protocols:
            hint = nearest(number.protocol, registry.protocols)
            yield f"{where}: protocol {number.protocol!r} is unknown{hint}"
        if number in seen:
            yield f"{where}: occurs twice"
        seen.add(number)
