"""Every record that crosses a module border: frozen, typed, checked where it enters.

Boxes, polygons and points are absolute pixels of the original image as stored (EXIF orientation
is not applied), origin top left, x to the right, y down.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vipbench.errors import TaskError, nearest

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1."""
Polygon = tuple[tuple[float, float], ...]
"""Vertices (x, y) in order; the last one is joined to the first."""
RGB = tuple[
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
]
Shape = Literal[
    "rectangle", "ellipse", "triangle", "point", "scribble", "mask contour", "mask", "arrow"
]
Fit = Literal["pad", "squash", "crop"]
Kind = Literal["choice", "short_answer", "graded", "joint"]
StyleKind = Literal["marks", "given", "none", "blind", "coordinates"]
PromptFormat = Literal["hf", "llava_v1", "chat_template"]
Tags = dict[str, tuple[str, ...]]
"""Breakdown axis -> values; several values (ViP-Bench capabilities) count the sample in each."""


class Record(BaseModel):
    """Base of all records: immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Region(Record):
    """A thing in the image that a question may refer to."""

    box: Box
    polygons: tuple[Polygon, ...] = ()
    """Outlines, each of at least three vertices; empty where only the box is known."""
    label: str = "object"
    """What the text calls it, such as `person`."""


class TaskSpec(Record):
    """One task file: what is asked, of which data, and how it is scored."""

    name: str
    version: int
    """Raised by every change that can move a score."""
    title: str
    kind: Kind
    data: str | tuple[str, ...]
    """Key of the data (`visual7w`), a local `datasets` folder or hub id; for kind `joint` the tasks
    that are joined."""
    reader: str | None = None
    """`file.py:function` beside the task file, or `jsonl`; None for kind `joint`."""
    template: str = ""
    """User text with `{question}`, `{choices}`, `{given_answer}`, `{mark}` (see prompts.py)."""
    styles: tuple[str, ...] = ()
    """Styles that suit the task; the first is its headline style."""
    fit: Fit | None = None
    max_new_tokens: int = Field(default=128, gt=0)
    breakdown: tuple[str, ...] = ()
    """Tags that the breakdown lists besides shape, color, size and n_marks."""
    chance: float | None = Field(default=None, ge=0, le=1)
    """Expected accuracy of one constant answer."""
    source: str = ""
    license: str = ""
    redistribute: bool = False
    """Whether pictures of this task may be shown in reports that travel."""
    reference: dict[str, int | str] = {}
    """`samples`: the published number of samples; `numbers`: file in results/reference."""
    path: Path | None = Field(default=None, exclude=True, repr=False)
    """Where the file lies; not part of the task's identity."""


class Sample(Record):
    """One record of a benchmark's data file."""

    id: str
    image: str
    """Path below the image root, with forward slashes."""
    question: str
    """May hold `<r0>`, `<r1>`, … where a region is mentioned; the number is the place in `regions`."""
    choices: tuple[str, ...] = ()
    """Answer options in the order A, B, C, …; may mention regions like the question."""
    target: str
    """The right answer as text: the letter for a choice."""
    regions: tuple[Region, ...] = ()
    """In the order in which they are drawn."""
    target_region: int | None = None
    """The region that the question is about or that is the right option, where there is one."""
    given_answer: str = ""
    """An answer that the question hands to the model (VCR QA->R: the right one)."""
    group: str
    """Image id: samples of one group share an image and are one cluster in the statistics."""
    tags: Tags = {}
    image_size: tuple[int, int] | None = None
    """Width and height in px, once the image's header has been read."""
    task: TaskSpec | None = Field(default=None, exclude=True, repr=False)
    """The task that the sample was loaded for; set by `tasks.load_samples`, not by readers."""


class Problem(Record):
    """Something wrong with one record of the data, or with a file as a whole."""

    id: str
    """Sample id, or the file's name."""
    code: str
    """A short name that problems are counted by, such as `missing_image`."""
    message: str
    warning: bool = False
    """True: the sample can be used all the same, and the problem is counted."""


class VisualPrompt(Record):
    """One mark on the image, fully determined: the same record gives the same pixels."""

    region: Region
    shape: Shape
    color: RGB
    alpha: int = Field(ge=0, le=255)
    width: float | None = Field(gt=0)
    """Line width (radius for a point) in px at a 336-px long side; None: drawn, under `seed`, from
    the range that the official training code uses for the shape."""
    seed: int = Field(ge=0)
    """Keys what is random in the geometry (scribble, arrow, triangle, ellipse, point)."""


class PromptStyle(Record):
    """The policy that visual prompts and their wording are drawn from."""

    name: str
    title: str = ""
    kind: StyleKind = "marks"
    shapes: tuple[Shape, ...] = ()
    colors: tuple[str, ...] = ()
    """Names of the pool, or `#rrggbb`."""
    alpha: int | tuple[int, int] | None = None
    """Opacity 0-255, or a range; None: the official training range (48-128 for a mask, else 96-255)."""
    width: dict[Shape, float | None] = {}
    """px at a 336-px long side by shape (radius for a point); None: the official training range."""
    official: bool = False
    """Wording and colours drawn as the official code draws them: the article "the" before the mark
    by coin, one mark alone unnamed in half of the cases, random RGB after nine colours."""
    inline: bool = False
    """Written on the command line (or in a sweep) rather than in a styles file."""


class Suite(Record):
    """A named set of tasks and styles; the first style is the headline."""

    name: str
    title: str = ""
    tasks: tuple[str, ...]
    styles: tuple[str, ...] = ()
    """Empty: each task's own headline style."""
    prompt_format: PromptFormat | None = None
    fit: Fit | None = None
    demo: bool = False
    """Runs by default on the embedded benchmark and checkpoint."""


class PromptChoices(Record):
    """Random choices of the wording, fixed by hand: replays any official text."""

    colors: tuple[str | RGB | None, ...] = ()
    """One a region in order: a colour's name (named in the text), or RGB or None (not named)."""
    articles: tuple[bool, ...] = ()
    """One a mention in the order of the text: whether "the" stands before the colour or shape."""
    shapes: tuple[Shape, ...] = ()
    """One a region; empty: as the style draws them."""


class Request(Record):
    """What a model is asked: the final text, the image and every mark on it."""

    task: str
    style: str
    id: str
    """The sample's id; (task, style, id) is unique within a run."""
    turns: tuple[str, ...]
    """User text; in a conversation user, assistant, user, … in turn, ending with a user's."""
    image: str
    """Path below the image root."""
    visual_prompts: tuple[VisualPrompt, ...] = ()
    """Marks in drawing order; never drawn where `blind`."""
    blind: bool = False
    """The image is replaced by a grey one of the same size."""
    fit: Fit
    max_new_tokens: int
    options: tuple[str, ...] = ()
    """Letters that answer a choice, else empty."""
    key: str
    """sha256 of everything that the model can see; see design of `prompts.request_key`."""


class Response(Record):
    """What a runner made of one request: a text, or an error, which is a state of its own."""

    text: str | None = None
    error: str | None = None
    """Why there is no text; None where there is one."""
    n_prompt_tokens: int = 0
    n_new_tokens: int = 0
    finish: Literal["stop", "length", "error"] = "stop"
    option_logprobs: tuple[float, ...] | None = None
    """Natural-log probabilities of `Request.options`, where asked for."""
    pixels: str | None = None
    """sha256 of the fitted uint8 image that the model saw."""


class Trial(Record):
    """One sample under one style: the request, and what scoring and reports need beside it."""

    task: str
    style: str
    id: str
    request: Request | None = None
    """None where the sample cannot be asked; `error` says why."""
    error: str | None = None
    kind: Kind
    target: str
    group: str
    tags: Tags = {}
    """The sample's tags, and shape, color, size and n_marks of its visual prompts."""


class Score(Record):
    """The value of one answer."""

    value: float = Field(ge=0, le=1)
    answer: str | None = None
    """As parsed; None where the response could not be parsed (counts as 0, and is counted)."""


class DataSource(NamedTuple):
    """Where the question files and the images of one data key lie."""

    questions: Path
    """A folder in the official or the preprocessed layout, or one question file."""
    images: Path
    """Root below which all image paths stay."""


RecordT = TypeVar("RecordT", bound=Record)


def checked(kind: type[RecordT], fields: dict[str, Any], where: str) -> RecordT:
    """Make a record from fields that a user wrote; TaskError names every mistake at once."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        mistakes = [_mistake(kind, dict(each)) for each in error.errors(include_url=False)]
        raise TaskError(f"{where}: {'; and '.join(mistakes)}") from error


def _mistake(kind: type[Record], error: dict[str, Any]) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"unknown key {key!r}{nearest(key, kind.model_fields)}"
    if error["type"] == "missing":
        return f"key {key!r} is missing"
    return f"{key} = {error['input']!r}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of plain data that holds a mapping; TaskError names file, line and column."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TaskError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise TaskError(f"{path}: not UTF-8 text (byte {error.start})") from error
    except yaml.YAMLError as error:
        raise TaskError(f"{path}: not plain YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise TaskError(f"{path}: expected a mapping of keys to values, not {content!r:.60}")
    return content
