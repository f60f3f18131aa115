"""Every record that crosses a module border: frozen, typed, checked where it enters.

Boxes, polygons and points are absolute pixels of the original image, as stored unless a task says
`exif: apply`; origin top left, x to the right, y down.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1."""
Polygon = tuple[tuple[float, float], ...]
"""Vertices (x, y) in order; the last one is joined to the first."""
Level = Annotated[int, Field(ge=0, le=255)]
RGB = tuple[Level, Level, Level]
Shape = str
"""Name of a shape: one of images/shapes/registry.py, or that of a plugin."""
Setting = str | float | int | bool | tuple[float, ...]
Fit = Literal["pad", "squash", "crop"]
Kind = Literal["choice", "short_answer", "graded", "joint"]
Rule = Literal["exact", "stated", "blink", "vp_bench", "inst_it", "lmms_eval"]
"""How an answer is read out of a text: scoring/extraction has a file for each."""
ExtraMetric = Literal[
    "text_match", "stated", "option_argmax", "blink", "vp_bench", "inst_it", "lmms_eval"
]
"""Metrics beside the headline, which is always reported. A rule's metric has its name; that of
`exact` is `text_match`."""
AnswerPath = Literal["fast", "reference"]
"""How a runner computes: its own batches, or transformers' plain `generate`."""
Replay = Literal["official"]
Quantize = Literal["int8", "int4"]
Engine = Literal["local", "ray"]
"""Where workers are: processes of this machine, or actors on those of a Ray cluster."""
StyleKind = Literal[
    "marks",
    "given",
    "none",
    "named",
    "blind",
    "coordinates",
    "wrong",
    "shuffled",
    "permuted",
    "surround",
    "elsewhere",
]
"""`elsewhere`: of answers whose marks and texts nobody has told us; nothing is asked under it."""
NO_CONTROLS: tuple[StyleKind, ...] = ("marks", "given", "elsewhere")
"""Kinds of styles that results are about; the others show what marks are worth."""
MarkOrder = Literal["region", "kind"]
"""How several marks on each region are drawn: all of a region, then all of the next; or one on each
region, then the next one on each."""
Naming = Literal["full", "plain", "none"]
"""What texts say of a mark: its words; only that there is one; nothing."""
BoxUnits = Literal["pixels", "fractions", "thousandths", "xywh"]
"""What the numbers of a data file's boxes are: px; parts of the image's width and height, or
thousandths of them; x, y, width and height in px."""
ExifRule = Literal["apply", "ignore"]
"""Whether images are turned as their EXIF orientation says before boxes are laid on them."""
PromptFormat = Literal["hf", "llava_v1", "llava_llama_3", "llava_phi_3", "chat_template"]
AnswerState = Literal["answered", "refused", "cut_off", "filtered", "failed"]
"""What became of a request; see docs/run_folder.md, "States of an answer"."""
ImageRoots = Path | tuple[Path, ...]
"""The folder below which images lie; or several, in each of which a path is looked up, in order."""
Tags = dict[str, tuple[str, ...]]
"""Breakdown axis -> values; several values (ViP-Bench capabilities) count the sample in each."""


class Record(BaseModel):
    """Base of all records: immutable, unknown fields refused."""

    FIRST_FIELDS: ClassVar[frozenset[str]] = frozenset()
    """The fields with a default that the record had in version 1 of the run folder. A field that is
    added later is left out of keys and digests while it has its default (see digests.py)."""
    UNDIGESTED: ClassVar[frozenset[str]] = frozenset()
    """Fields that are in no key and no digest, whatever their value."""

    # JSON has no infinity, which the logarithm of a probability may be: "-Infinity" comes back.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class SparseRecord(Record):
    """A record whose JSON leaves some keys out where they say nothing.

    So a file of a run that needs none of them is byte for byte that of version 1, whose readers
    know nothing of them.
    """

    SPARSE: ClassVar[frozenset[str]] = frozenset()
    """Fields that JSON leaves out where they have their default, or what follows from the others.
    """

    @model_serializer(mode="wrap")
    def _without_defaults(
        self, handler: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        if info.mode == "json":
            for name in self.SPARSE:
                if name in plain and getattr(self, name) == self.default_of(name):
                    del plain[name]
        return plain

    def default_of(self, name: str) -> object:
        """Return the default of a field, where it follows from others from those of this record.

        It is shared by all records, so that it is there to be compared with.
        """
        fixed = fixed_defaults(type(self))
        if name in fixed:
            return fixed[name]
        return _following_defaults(type(self))[name](self.__dict__)


@cache
def fixed_defaults(kind: type[Record]) -> Mapping[str, object]:
    """Return the defaults of a record's fields, but for those that follow from other fields.

    Made once: pydantic makes each anew, which takes most of the time of writing a record.
    """
    return {
        name: field.get_default(call_default_factory=True)
        for name, field in kind.model_fields.items()
        if not field.is_required() and not field.default_factory_takes_validated_data
    }


@cache
def _following_defaults(kind: type[Record]) -> Mapping[str, Callable[[Mapping[str, Any]], object]]:
    """Return what makes the defaults that follow from other fields, out of all fields.

    Asking pydantic for them would have it look at the function's signature each time.
    """
    fixed = fixed_defaults(kind)
    return {
        name: cast("Callable[[Mapping[str, Any]], object]", field.default_factory)
        for name, field in kind.model_fields.items()
        if not field.is_required() and name not in fixed
    }


def state_of(data: Mapping[str, Any]) -> AnswerState:
    """Return the state of an answer that names none: it follows from `error` and `finish`.

    `data` are the fields of a response; of a score, `truncated` stands for the finish.
    """
    if data.get("finish") == "filter":
        return "filtered"
    if data.get("error") is not None:
        return "failed"
    is_cut = data.get("truncated", data.get("finish") == "length")
    return "cut_off" if is_cut else "answered"


class Region(SparseRecord):
    """A thing in the image that a question may refer to."""

    FIRST_FIELDS = frozenset({"polygons", "label"})
    SPARSE = frozenset({"id", "bridges", "image"})

    box: Box
    polygons: tuple[Polygon, ...] = ()
    """Outlines, each of at least three vertices; empty where only the box is known."""
    label: str = "object"
    """What the text calls it, such as `person`; empty where the text around it does so already."""
    id: str = ""
    """What the data call it, such as the number that a tag shows; empty: nothing."""
    bridges: tuple[tuple[int, int], ...] = ()
    """Edges that join an outline to its holes, and are no part of it: index of the polygon, and of
    the vertex that the edge begins at."""
    image: int = Field(default=0, ge=0)
    """Index of the image that it lies in; all its numbers are in the frame of that image."""


class TaskSpec(Record):
    """One task file: what is asked, of which data, and how it is scored."""

    name: str
    version: int = Field(ge=1)
    """Raised by every change that can move a score."""
    title: str
    kind: Kind
    data: str | tuple[str, ...]
    """Key of the data (`visual7w`), a local `datasets` folder or hub id; for kind `joint` the tasks
    that are joined."""
    reader: str | None = None
    """`file.py:function` beside the task file, or `jsonl`; None for kind `joint`."""
    template: str | tuple[str, ...] = ""
    """User text with `{question}`, `{choices}`, `{given_answer}`, `{mark}`, filled in by
    prompts/wording.py; empty: the official sentence for a choice where the sample has choices, else
    that for short answers. A list is a conversation: user, assistant, user, …, ending with a user's
    turn."""
    templates: dict[str, str] = {}
    """User text by what is drawn on each region, before `template`: `marker+tag`, `tag`, …"""
    refer: dict[str, str] = {}
    """How texts refer to a region by what is drawn on each, before the `refer` of the style."""
    styles: tuple[str, ...] = ()
    """Styles that suit the task; the first is its headline style."""
    boxes: BoxUnits | None = None
    """What the boxes of the data are, by whoever knows; None: pixels, and doubts are reported. What
    a `--data` file says goes before it, as for `exif`."""
    exif: ExifRule | None = None
    """None: not applied, and images that have an orientation are reported."""
    fit: Fit | None = None
    max_new_tokens: int = Field(default=128, gt=0)
    official_temperature: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """What the published script samples at, used under `--replay official` only; 0: greedy."""
    breakdown: tuple[str, ...] = ()
    """Tags that the breakdown lists besides those of the suite (shape, color, size, n_marks)."""
    rule: Rule | None = None
    """How answers are read for the headline metric, where the suite does not say; None: as the
    runner's answers are."""
    chance: float | None = Field(default=None, ge=0, le=1)
    """Expected accuracy of one constant answer."""
    source: str = ""
    license: str = ""
    redistribute: bool = False
    """Whether pictures of this task may be shown in reports that travel."""
    reference: dict[str, int | str] = {}
    """`samples`: the published number of samples; `numbers`: file in results/reference."""
    hub: dict[Literal["dataset_id", "task_id"], str] = {}
    """The data set on the Hugging Face hub that the samples are of, as `owner/name`, and what its
    `eval.yaml` calls the task; a key is left out where that is not known."""
    path: Path | None = Field(default=None, exclude=True, repr=False)
    """Where the file lies; not part of the task's identity."""


class Sample(Record):
    """One record of a benchmark's data file."""

    id: str
    image: str
    """Path below the image root, with forward slashes; of several images the first."""
    images: tuple[str, ...] = ()
    """All of them, in the order in which they are shown; empty where there is one."""
    draw_sizes: tuple[tuple[int, int], ...] = ()
    """Width and height in px that each image is resized to (Lanczos) before anything is drawn on
    it, and its regions with it; empty: marks are drawn on the images as they are."""
    question: str
    """May hold `<r0>`, `<r1>`, … where a region is mentioned; the number is its index in
    `regions`."""
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
    given_choices: tuple[str, ...] = ()
    """Options of an earlier turn, which `given_target` answered; may mention regions."""
    given_target: str = ""
    """The right letter of the earlier turn."""
    are_points: bool = Field(default=False, exclude=True, repr=False)
    """The regions are points, x, y, x, y: that their boxes have no area is meant. Known until the
    sample is written down, like `task`."""
    box_units: BoxUnits | None = None
    """What the record itself says its boxes are, before which no statement about the file goes;
    `pixels` of masks."""
    annotated_size: tuple[int, int] | None = None
    """Width and height in px of the image that the regions were drawn on, where the data say so."""
    answer_only: bool = False
    """The data hold the right answer alone, without question and picture: answers that are there
    can be scored, nothing can be asked."""
    choice_ids: tuple[str, ...] = ()
    """What the data call the options (Visual7W: the numbers of their boxes); empty: nothing."""
    group: str
    """Image id: samples of one group share an image and are one cluster in the statistics."""
    tags: Tags = Field(default_factory=dict)
    image_size: tuple[int, int] | None = None
    """Width and height in px that it is drawn on at, once the image's header has been read; as
    turned under `exif`."""
    image_sizes: tuple[tuple[int, int], ...] = ()
    """Of each image, where there are several; set with `image_size`, which is that of the first."""
    exif: Literal["apply"] | None = None
    """`apply`: an image has an EXIF orientation, and is turned by it; set with `image_size`."""
    surroundings: tuple[RGB, ...] = Field(default=(), exclude=True, repr=False)
    """The colour around each region; read where a style has marks stand out from it."""
    task: TaskSpec | None = Field(default=None, exclude=True, repr=False)
    """The task that the sample was loaded for; set by `samples.load_samples`, not by readers."""

    @property
    def all_images(self) -> tuple[str, ...]:
        """The paths of all images that it shows, in order."""
        return self.images or (self.image,)

    def size_of(self, region: Region) -> tuple[int, int] | None:
        """Return `image_size` of the image that a region lies in; None: not known."""
        return self.image_sizes[region.image] if self.image_sizes else self.image_size


class Problem(Record):
    """Something wrong with one record of the data, or with a file as a whole."""

    id: str
    """Sample id, or the file's name."""
    code: str
    """A short name that problems are counted by, such as `missing_image`."""
    message: str
    warning: bool = False
    """True: the sample can be used all the same, and the problem is counted."""


class VisualPrompt(SparseRecord):
    """One mark on the image, fully determined: the same record gives the same pixels."""

    SPARSE = frozenset({"text", "settings"})

    region: Region
    shape: Shape
    color: RGB
    alpha: Level
    """Opacity."""
    width: float | None = Field(gt=0, allow_inf_nan=False)
    """Line width (radius for a point) in px at a 336-px long side; None: drawn, under `seed`, from
    the range that the official training code uses for the shape."""
    seed: int = Field(ge=0)
    """Keys what is random in the geometry (scribble, arrow, triangle, ellipse, point)."""
    text: str = ""
    """What it says, where it is a tag."""
    settings: dict[str, Setting] = Field(default_factory=dict)
    """What its shape takes besides, by the names of the shape's own record of settings."""


class ShapeWords(NamedTuple):
    """What texts call marks of one shape."""

    preposition: str
    """Between a thing and its mark: the dog `within` the red rectangle."""
    noun: str
    plural: str = ""
    """Empty: the noun with an s."""
    participle: str = ""
    """What is done to a thing by such a mark, such as `circled`; empty: nothing is said."""


class Visibility(Record):
    """What is left of one mark in the image that a model sees (see images/visibility.py)."""

    n_px: int = Field(ge=0)
    """Pixels of the original image that the mark is drawn on; 0: it lies outside the image."""
    share: float = Field(ge=0, le=1)
    """The part of them, by area, that lies in what the model sees of the image; 0 of 0 px."""
    fitted_px: float = Field(ge=0)
    """Their area there, in px of the fitted square."""
    n_patches: int | None = None
    """Patches of the square that it touches; None where their size is unknown."""

    @property
    def lost(self) -> bool:
        """Less than one pixel is left of it, or it touches no patch."""
        return self.fitted_px < 1 or self.n_patches == 0

    @property
    def cut(self) -> bool:
        """Part of it lies beyond what the model sees; a lost mark is not counted as cut."""
        return self.share < 1 and not self.lost


class Surround(SparseRecord):
    """What is done to an image around the regions of a question, before it is fitted."""

    SPARSE = frozenset({"regions", "full"})

    kind: Literal["spotlight", "blur", "crop"]
    amount: float = Field(gt=0, le=100, allow_inf_nan=False)
    """Of `crop`, how many times as wide and as high as the regions; of `blur`, the standard
    deviation as a part of the image's long side. It says nothing of `spotlight`."""
    least: int = Field(default=56, ge=1, le=10_000)
    """Of `crop`: the least width and height of the regions in px, before they are enlarged."""
    regions: tuple[Region, ...] = ()
    """Those that are left as they are; set with the request."""
    full: bool = False
    """The image is shown once more after that, as it is and with the same marks."""

    def of_image(self, index: int) -> "Surround | None":
        """Return what is done to one of several images; None: no region lies in it."""
        regions = tuple(region for region in self.regions if region.image == index)
        return self.model_copy(update={"regions": regions}) if regions else None


class MarkPart(Record):
    """A further mark that a style draws on each region, beside the first one."""

    shape: Shape
    color: str = ""
    """Name of the pool, or `#rrggbb`; empty: that of the region's first mark."""
    alpha: Level | None = None
    """Opacity; None: as the style draws it."""
    width: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """px at a 336-px long side; None: as the style says of the shape."""
    settings: dict[str, Setting] = Field(default_factory=dict)
    """Those of the shape that are said; the others have their defaults."""
    text: str = ""
    """What it says, as in `PromptStyle.text`."""


class PromptStyle(SparseRecord):
    """The policy that visual prompts and their wording are drawn from."""

    FIRST_FIELDS = frozenset(
        {"title", "kind", "shapes", "colors", "alpha", "width", "official", "inline", "shift"}
    )
    UNDIGESTED = frozenset({"title"})
    SPARSE = frozenset(
        {"surround", "settings", "text", "beside", "order", "words", "listed", "refer", "units"}
    )

    name: str
    title: str = ""
    kind: StyleKind = "marks"
    shapes: tuple[Shape, ...] = ()
    colors: tuple[str, ...] = ()
    """Names of the pool, or `#rrggbb`."""
    alpha: Level | tuple[Level, Level] | None = None
    """Opacity 0-255, or a range; None: the official training range, 48-128 for a mask, else
    96-255."""
    width: dict[Shape, Annotated[float, Field(gt=0, allow_inf_nan=False)] | None] = {}
    """px at a 336-px long side by shape (radius for a point); None: the official training range."""
    official: bool = False
    """Wording and colours drawn as the official code draws them: the article "the" before the mark
    by coin, one mark alone unnamed in half of the cases, random RGB after nine colours."""
    inline: bool = False
    """Written on the command line (or in a sweep) rather than in a styles file."""
    surround: Surround | None = None
    """Of kind `surround`."""
    shift: int | None = None
    """Positions that kind `permuted` moves the options on; None: an order drawn by seed."""
    units: BoxUnits = "fractions"
    """What the numbers of kind `coordinates` are: parts of the fitted square, or thousandths of
    them; px of the original image; x, y, width and height in px of it."""
    settings: dict[str, Setting] = Field(default_factory=dict)
    """Of the first mark's shape: those that are said; the others have their defaults."""
    text: str = ""
    """What the first mark says, where it is a tag: `number` or `letter`, in the order of the
    regions; `id`, what the data call the region; `id_number`, that, with letters as numbers; or a
    fixed word. Empty: `number`."""
    beside: tuple[MarkPart, ...] = ()
    """Further marks on each region, drawn after the first one."""
    order: MarkOrder = "region"
    words: Naming = "full"
    listed: bool = False
    """The regions get the colours in their order, rather than by a draw."""
    refer: str = ""
    """How texts refer to a region: a phrase with the fields of `prompts/mentions.py: REFER_FIELDS`,
    or the name of one in `REFER`. Empty: by the words of its first mark, or by its tag."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if isinstance(self.alpha, tuple) and self.alpha[0] > self.alpha[1]:
            raise ValueError(f"alpha = {list(self.alpha)} should go from low to high")
        return self


class PromptChoices(Record):
    """Random choices of the wording, fixed by hand: replays any official text."""

    colors: tuple[str | RGB | None, ...] = ()
    """One a region in order: a colour's name (named in the text), or RGB or None (not named)."""
    articles: tuple[bool, ...] = ()
    """One a mention in the order of the text: whether "the" stands before the colour or shape."""
    shapes: tuple[Shape, ...] = ()
    """One a region; empty: as the style draws them."""


class Request(SparseRecord):
    """What a model is asked: the final text, the image and every mark on it."""

    FIRST_FIELDS = frozenset({"visual_prompts", "blind", "temperature", "seed", "options"})
    SPARSE = frozenset({"surround", "images", "draw_sizes"})

    task: str
    style: str
    id: str
    """The sample's id; (task, style, id) is unique within a run."""
    turns: tuple[str, ...]
    """User text; in a conversation user, assistant, user, … in turn, ending with a user's."""
    image: str
    """Path below the image root; of several images the first."""
    images: tuple[str, ...] = ()
    """All of them, in the order in which they are shown; empty where there is one."""
    draw_sizes: tuple[tuple[int, int], ...] = ()
    """Of each image, as in `Sample`."""
    visual_prompts: tuple[VisualPrompt, ...] = ()
    """Marks in drawing order; never drawn where `blind`."""
    blind: bool = False
    """The image is replaced by a grey one of the same size."""
    exif: Literal["apply"] | None = None
    """`apply`: the image is turned as its EXIF orientation says before anything is drawn."""
    surround: Surround | None = None
    """What is around the regions is taken away before anything is drawn; cut off after that."""
    fit: Fit
    max_new_tokens: int
    temperature: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """0: greedy. Above: each token is sampled, under `seed`, from the TOP_K likeliest."""
    seed: int = 0
    """Keys the sampling; 0 where the answer is greedy."""
    options: tuple[str, ...] = ()
    """Letters that answer a choice, else empty."""
    key: str
    """sha256 of everything that the model can see: `request_key` in prompts/request.py."""

    @property
    def all_images(self) -> tuple[str, ...]:
        """The paths of all images that it shows, in order."""
        return self.images or (self.image,)

    def of_image(self, index: int) -> "Request":
        """Return what is shown of one image: itself with that image alone, and the marks on it.

        Around the regions of that image is done what `surround` says; without any, nothing is.
        """
        if not self.images:
            return self
        marks = tuple(each for each in self.visual_prompts if each.region.image == index)
        update = {
            "image": self.images[index],
            "images": (),
            "draw_sizes": self.draw_sizes[index : index + 1],
            "visual_prompts": marks,
            "surround": self.surround and self.surround.of_image(index),
        }
        return self.model_copy(update=update)


class Response(SparseRecord):
    """What a runner made of one request: a text, or an error, which is a state of its own."""

    SPARSE = frozenset({"state", "reasoning", "n_reasoning_tokens"})

    text: str | None = None
    """Without any reasoning."""
    error: str | None = None
    """Why there is no text; None where there is one."""
    reasoning: str | None = None
    """What the model wrote before its answer, where the runner tells it apart; never scored."""
    n_prompt_tokens: int = 0
    n_new_tokens: int = 0
    """Those of the reasoning included."""
    n_reasoning_tokens: int = 0
    finish: Literal["stop", "length", "error", "filter"] = "stop"
    option_logprobs: tuple[float, ...] | None = None
    """Natural-log probabilities of `Request.options` as the first token of the answer, over the
    whole vocabulary; None where there are no options, or the runner does not know."""
    pixels: str | None = None
    """sha256 of the fitted uint8 image that the model saw; of several, of their digests joined."""
    state: AnswerState = Field(default_factory=state_of)
    """A runner names it where the model has refused; else it follows from error and finish."""


class Trial(SparseRecord):
    """One sample under one style: the request, and what scoring and reports need beside it."""

    FIRST_FIELDS = frozenset({"request", "error", "tags", "choice_ids"})
    UNDIGESTED = frozenset({"segment"})
    SPARSE = frozenset({"segment"})

    task: str
    style: str
    id: str
    request: Request | None = None
    """None where the sample cannot be asked; `error` says why."""
    error: str | None = None
    kind: Kind
    target: str
    group: str
    tags: Tags = Field(default_factory=dict)
    """The sample's tags, and shape, color, size and n_marks of its visual prompts."""
    choice_ids: tuple[str, ...] = ()
    """As in `Sample`."""
    segment: int = 0
    """Which part of the run asks it, in the order in which they were added."""


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
    more_images: tuple[Path, ...] = ()
    """Further roots: a path that is not below the first one is looked up in these, in order."""
    boxes: BoxUnits | None = None
    """As in `TaskSpec`, before which it goes."""
    exif: ExifRule | None = None

    @property
    def image_roots(self) -> ImageRoots:
        """All roots, as `find_image` and `safe_path` take them."""
        return (self.images, *self.more_images) if self.more_images else self.images
