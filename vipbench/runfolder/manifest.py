"""What was run, on what, with which weights and data: everything needed to repeat a run."""

import hashlib
import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from vipbench import files
from vipbench.digests import added_facts, digest, facts
from vipbench.endpoints.dialect import Dialect
from vipbench.errors import RunError, first_mistake
from vipbench.runfolder.differing import told
from vipbench.runfolder.endpoint_use import EndpointFacts, Usage
from vipbench.runfolder.folder import MANIFEST, RUN_ADVICE, check_run
from vipbench.runfolder.plan import BatchLimit
from vipbench.runfolder.shard import Shard
from vipbench.runfolder.sharing import Readings, Sharing
from vipbench.schema import (
    NO_CONTROLS,
    AnswerPath,
    Engine,
    ExtraMetric,
    Fit,
    ImageRoots,
    Kind,
    PromptFormat,
    PromptStyle,
    Record,
    Replay,
    Rule,
    SparseRecord,
    Trial,
)

FORMAT = 2
"""Version of the run folder that new runs are written in."""
CERTIFICATES = Path("results/certificates")
"""Where numerics certificates lie, below the working directory: `<settings digest>.json`."""
PROMPT_NOTE = "prompt: "
"""How a note begins that says what of a checkpoint contradicts the prompts it was asked in."""
RARE_KEYS = (
    "state",
    "blocks",
    "segments",
    "sharing",
    "answered_by",
    "dialect",
    "usage",
    "variables",
)
"""Keys of a manifest that are written only where they say something: that a run was stopped early,
is asked in blocks or was extended, what was read once, what an endpoint did, or which variables
were used."""
Added = Literal["styles", "tasks", "samples"]
"""What a run can be extended by."""
IMPORTED = "imported"
"""Name of the runner of imported answers in a run's identity; `--runner` does not take it."""


class Settings(Record):
    """What, beside the request, an answer depends on; None throughout for a baseline runner."""

    weights: str | None
    """sha256 of weights, config, tokenizer and processor."""
    prompt_format: PromptFormat | None
    dtype: str | None
    decoding: str | None
    """Such as `greedy`."""
    template_date: str | None = None
    """The day that the chat template is told, as YYYY-MM-DD; None: it does not ask for one."""
    adapter: str | None = None
    """sha256 of the adapter that is loaded onto the weights; None: there is none."""
    quantization: str | None = None
    """How the weights are quantised, such as `int4 (bitsandbytes)`; None: they are not."""
    processor: str | None = None
    """sha256 of tokenizer, image processor and template that were given with a model in memory;
    None: they are the checkpoint's, in `weights`."""
    endpoint: EndpointFacts | None = None
    """How an endpoint was asked; None: there was none."""

    @property
    def numbers(self) -> str | None:
        """The numbers that it computes with: the dtype, and how the weights are quantised."""
        return ", ".join(filter(None, (self.dtype, self.quantization))) or None

    @property
    def loaded(self) -> str | None:
        """What tells the weights that answer: their digest, with that of an adapter."""
        return self.weights if self.adapter is None else digest([self.weights, self.adapter])


class Identity(Record):
    """What makes two runs the same run; device, workers and batch size are not part of it."""

    suite: str
    """Name of the suite, or `custom` for a list of tasks."""
    tasks: dict[str, int]
    """Version of each task, joint tasks and their parts."""
    styles: dict[str, tuple[PromptStyle, ...]]
    """Of each task that is asked; resolved, so that each record stands on its own."""
    seed: int
    limit: int | None
    ids: tuple[str, ...]
    """Sorted; empty: all."""
    fits: dict[str, Fit]
    """How the images of each task that is asked are fitted."""
    runner: str
    model: str
    settings: Settings
    requests: dict[str, str]
    """Digest, for each task, of all that the model sees and all that scoring compares with."""
    exif: dict[str, Literal["apply"]] = Field(default={})
    """Tasks whose images are turned as their EXIF orientation says."""


class TaskRun(Record):
    """One task as it was run."""

    version: int
    kind: Kind
    parts: tuple[str, ...] = ()
    """Tasks that a joint task is made of."""
    headline: str
    """Name of the headline style."""
    fit: Fit
    rule: Rule = "exact"
    """How answers are read for the headline metric."""
    breakdown: tuple[str, ...] = ()
    """Tags that the breakdown lists, in order."""
    chance: float | None = None
    redistribute: bool = False
    questions: str = ""
    """Where the question files lay."""
    images: str | tuple[str, ...] = ""
    """Root of the images; several where their paths were looked up in several."""
    synthetic: bool = False
    n_samples: int
    """Samples of the full task; more than were asked where the run is a subset."""
    problems: dict[str, int] = Field(default={})
    """Errors and warnings in the data of the samples that were asked, counted by code."""
    image_modes: dict[str, int] = Field(default={})
    """Images that are not stored in RGB and are converted, counted by mode."""
    boxes_for_polygons: int = 0
    """Marks that follow an outline, drawn from the box because the region has no polygon."""

    @property
    def image_roots(self) -> ImageRoots:
        """The root of the images, or several."""
        return Path(self.images) if isinstance(self.images, str) else tuple(map(Path, self.images))


class Times(Record):
    """Where the time went, in seconds, summed over all starts of a run that were not killed."""

    prepare: float = 0.0
    """Reading data, building requests, checking images."""
    load: float = 0.0
    """Loading the model."""
    generate: float = 0.0
    """Drawing, fitting and answering."""
    n_answered: int = 0
    """Requests that were answered in this time."""
    total: float = 0.0


class CertificateRef(Record):
    """Which numerics certificate tells of a run's rounding, and what it found."""

    path: str
    sha256: str
    """Of the file."""
    device: str
    batch_size: int | None
    """Of the run that was certified, as in `Manifest`."""
    token_budget: int | None = None
    n: int = Field(gt=0)
    n_flipped: int = Field(ge=0)
    """Answers that are not those of float32, one request at a time."""
    n_rescored: int = Field(ge=0)
    """Those of them that are scored otherwise."""

    @property
    def batch_limit(self) -> BatchLimit:
        """How large a batch might become."""
        return BatchLimit(self.batch_size, self.token_budget)


class Written(Record):
    """What of a file belongs to a run: its first bytes."""

    bytes: int = Field(ge=0)
    sha256: str
    """Of these bytes."""


class Segment(SparseRecord):
    """One part of a run that was asked together."""

    SPARSE = frozenset({"sharing"})

    identity: str
    """Digest of the run's identity up to and with this segment."""
    added: tuple[Added, ...]
    """What it brought; empty for the first."""
    n_requests: int
    first_batch: int
    """Number of its first batch in `responses.jsonl`."""
    n_batches: int
    batch_size: int | None
    token_budget: int | None
    plan_digest: str
    """Of its plan, whose indices count its own requests."""
    device: str
    versions: dict[str, str]
    started: str
    finished: str | None = None
    """None while answers are missing."""
    sharing: Sharing | None = None
    """What is read once for several of its requests; None: each prompt is read by itself."""

    @property
    def batch_limit(self) -> BatchLimit:
        """How large a batch may become."""
        return BatchLimit(self.batch_size, self.token_budget)


class Blocks(Record):
    """How the samples of a task, in random order, are cut up where answers are looked at between.

    See trials/blocks.py.
    """

    size: int = Field(ge=1)
    """Samples of the first block; no other is smaller but the last."""
    growth: float = Field(default=0.0, ge=0, le=10)
    """Share of what was asked before that a block holds, where that is more."""


class Manifest(Record):
    """Everything needed to repeat a run and to read its scores."""

    format: int = 1
    """Of the run folder. A manifest of version 1 has no such key, and binds no files."""
    run_id: str
    name: str = ""
    """What the model is called where the identity's name tells too little, such as
    `expA/checkpoint-500`; empty: that name. What somebody calls it is in `name.json`."""
    model_path: str = ""
    """Folder of the model, or of its adapter; empty: there is none, or it is not known."""
    step: int | None = None
    """Training step, as far as that folder tells; None: it is not known."""
    identity: Identity
    settings_digest: str
    """An answer is valid for (key of the request, settings_digest)."""
    state: Literal["sequential"] | None = None
    """`sequential`: a gate or a race was decided before all was asked, so that the numbers are
    biased; None: they are those of all samples that were meant."""
    blocks: Blocks | None = None
    """How its first segment was cut up; None: it was planned as a whole."""
    segments: tuple[Segment, ...] = ()
    """The parts that it was asked in, where there are several; empty: it was asked at once."""
    files: dict[str, Written] = Field(default={})
    """Name of a file -> the bytes of it that belong to the run; see bound.py."""
    tasks: dict[str, TaskRun]
    parts: dict[str, str] = Field(default={})
    """sha256 by part of the checkpoint: `weights`, `config`, `tokenizer`, `processor`, `template`,
    `adapter`; in no digest, since `settings` cover all of them."""
    n_requests: int
    """Samples x styles, errors included."""
    metrics: tuple[ExtraMetric | Literal["lenient"], ...] = ()
    """What is reported beside the headline metric; `lenient` in older runs, which `stated`
    replaced."""
    path: AnswerPath | None = None
    """How the runner computes; not part of the identity, since in float32 the answers are the same.
    None: the runner knows one way only (or, in older runs, `fast`)."""
    replay: Replay | None = None
    """`official`: answers are sampled where the published script samples."""
    converted_from: str | None = None
    """Name of the original checkpoint that the model's was converted from, where it says so."""
    image_size: int | None = None
    """Side in px of the square that the model sees; None: unknown, or images come unfitted."""
    certificate: CertificateRef | None = None
    """The numerics certificate of the same settings that lay there when the run began."""
    prompt_format_from: str | None = None
    """Who says in which prompt format the model was asked, such as `suite paper`; in no digest.
    None: there is no prompt format, or an older run."""
    notes: tuple[str, ...] = ()
    """What was left out, and other things that were said."""
    batch_size: int | None
    """Most requests in a batch; None: only the budget of tokens counts."""
    token_budget: int | None = None
    """Most tokens of prompts in a batch, images and padding included; None: any number."""
    n_batches: int = 0
    plan_digest: str
    sharing: Sharing | None = None
    """What is read once for several requests; None: each prompt is read by itself."""
    shard: Shard | None = None
    """Which of the batches were asked; such a run has no scores. None: all."""
    n_shards: int = 1
    """Shards that the run was merged from."""
    workers: int = 1
    """Processes that answered, in the last start; in the shards together."""
    engine: Engine = "local"
    """Where they were, in the last start."""
    n_splits: int = 0
    """Times that a batch was split in two because it did not fit into memory, over all starts."""
    n_worker_restarts: int = 0
    """Workers that were killed and restarted, over all starts."""
    device: str = ""
    versions: dict[str, str]
    commit: str | None
    """Of the vipbench checkout; None where it is not one."""
    dirty: bool | None
    """Whether the checkout had uncommitted changes."""
    started: str
    """UTC, ISO 8601; first start."""
    finished: str | None = None
    """UTC, ISO 8601; None while batches are missing."""
    n_starts: int = 1
    times: Times = Times()
    peak_memory_mib: float = 0.0
    """Largest resident memory of the process, or of one of its workers."""
    answered_by: dict[str, int] = Field(default={})
    """Name that an endpoint gives its model -> answers, over all starts that were not killed."""
    dialect: Dialect | None = None
    """The parameters that the endpoint took; None: there was none, or nothing was asked yet."""
    usage: Usage | None = None
    """What its calls have taken."""
    variables: dict[str, str] = Field(default={})
    """Environment variables that options of the last start came from, and their values; in no
    digest. The value is empty where it may hold a key."""

    @property
    def batch_limit(self) -> BatchLimit:
        """How large a batch may become, of the first segment."""
        return BatchLimit(self.batch_size, self.token_budget)

    @property
    def all_segments(self) -> tuple[Segment, ...]:
        """The segments; of a run that was asked at once, the one that it is."""
        first = Segment(
            identity=identity_digest(self.identity),
            added=(),
            n_requests=self.n_requests,
            first_batch=0,
            n_batches=self.n_batches,
            batch_size=self.batch_size,
            token_budget=self.token_budget,
            plan_digest=self.plan_digest,
            device=self.device,
            versions=self.versions,
            started=self.started,
            finished=self.finished,
            sharing=self.sharing,
        )
        return self.segments or (first,)

    def ended(self, when: str) -> "Manifest":
        """Return it as of a run that has no answers left to wait for."""
        *earlier, last = self.segments or (None,)
        segments = () if last is None else (*earlier, last.model_copy(update={"finished": when}))
        return self.model_copy(update={"finished": when, "segments": segments})

    def with_readings(self, readings: Readings) -> "Manifest":
        """Add what a start has read, where the segment that was asked shares anything."""
        *earlier, last = self.all_segments
        if last.sharing is None:
            return self
        sharing = last.sharing.plus(readings)
        if not self.segments:
            return self.model_copy(update={"sharing": sharing})
        last = last.model_copy(update={"sharing": sharing})
        return self.model_copy(update={"segments": (*earlier, last)})

    @property
    def prompt_notes(self) -> tuple[str, ...]:
        """The notes that say what of the checkpoint contradicts the prompts."""
        return tuple(note for note in self.notes if note.startswith(PROMPT_NOTE))


_CERTIFIED = ("device", "batch_size", "token_budget", "n", "n_flipped", "n_rescored")
"""What `CertificateRef` takes from the certificate itself."""


def settings_digest(settings: Settings) -> str:
    """Return the sha256 of weights, prompt format, dtype and decoding."""
    return digest(facts(settings))


def identity_digest(identity: Identity) -> str:
    """Return the sha256 of an identity; titles of styles are words for readers, and left out."""
    return digest(_by_name(facts(identity)))


def trial_facts(trial: Trial) -> bytes:
    """Return what the model sees of a trial and what scoring compares with, as bytes to digest.

    The words of an error are left out: they may name a path of this machine. What later versions
    add to a trial follows at the end, where it does not have its default.
    """
    key = trial.request.key if trial.request is not None else "error"
    known = [trial.style, trial.id, key, trial.kind, trial.target, trial.group, trial.tags]
    added = added_facts(trial)
    return json.dumps([*known, added] if added else known, sort_keys=True).encode()


def trial_digest(trial: Trial) -> bytes:
    """Digest the facts of a trial, in 16 bytes that are kept in memory."""
    return hashlib.sha256(trial_facts(trial)).digest()[:16]


def run_id(identity: Identity, digest_of_first: str | None = None) -> str:
    """Name a run: suite, model and eight hex digits of the identity; never parsed back.

    Of an extended run, those of the identity that it began with.
    """
    parts = (identity.suite, identity.model, (digest_of_first or identity_digest(identity))[:8])
    return "-".join(
        "".join(c if c.isalnum() or c in "._" else "-" for c in part).strip(".-")[:80] or "model"
        for part in parts
    )


def differences(previous: Identity, current: Identity) -> list[str]:
    """List what differs as `field: previous → current`; empty if the two are the same run."""
    old, new = (_flat(_by_name(facts(identity, defaults=True))) for identity in (previous, current))
    return [
        f"{name}: {_shown(old.get(name))} → {_shown(new.get(name))}"
        for name in dict.fromkeys((*old, *new))
        if old.get(name) != new.get(name)
    ]


def conflicts(
    previous: Identity, current: Identity, free: Collection[str], *, may_lack: bool = False
) -> list[str]:
    """List what of a run differs in another one that may hold further styles and tasks.

    As `differences` does; whether samples are asked in the same way, only the requests show.

    Args:
        previous: that of the run.
        current: that of the other.
        free: fields of an identity that may differ.
        may_lack: whether styles and tasks of the run may be missing, too.
    """
    old, new = (_flat(_by_name(facts(identity, defaults=True))) for identity in (previous, current))
    return [
        f"{name}: {_shown(old[name])} → {_shown(new.get(name))}"
        for name in old
        if old[name] != new.get(name)
        and (name in new or not may_lack)
        and name not in free
        and not name.startswith("requests.")
    ]


def marked_styles(identity: Identity) -> frozenset[str]:
    """Return the names of the styles that are no controls: the model sees marks, or may do so."""
    styles = itertools.chain.from_iterable(identity.styles.values())
    return frozenset(style.name for style in styles if style.kind in NO_CONTROLS)


def is_elsewhere(identity: Identity, task: str, style: str) -> bool:
    """Say whether a style is of answers of which it is not known how they were asked for."""
    styles = identity.styles.get(task, ())
    return any(each.name == style and each.kind == "elsewhere" for each in styles)


def check_same(folder: Path, previous: Identity, current: Identity) -> None:
    """Refuse to resume in a folder that holds another run; RunError shows the difference."""
    changes = differences(previous, current)
    if changes:
        shown = told(changes, "answers" if current.runner == IMPORTED else "weights")
        raise RunError(
            f"{folder}: holds another run (its settings → these): {shown} · give its "
            "settings, another -o, or --fresh to replace it"
        )


def read(folder: Path) -> Manifest:
    """Read the manifest of a run folder; RunError where there is none or it is broken.

    Who reads other files of the run too opens it with `opened.open_run`, which checks them.
    """
    check_run(folder)
    path = folder / MANIFEST
    content = files.read_json(path, RUN_ADVICE)
    version = content.get("format", 1) if isinstance(content, dict) else 1
    if version not in range(1, FORMAT + 1):
        raise RunError(
            f"{path}: format {version!r} is unknown · expected {FORMAT} or less · use the version "
            "of vipbench that wrote it, or a later one"
        )
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise RunError(
            f"{path}: {first_mistake(error)} · this version of vipbench has not written it so · "
            "put back what the run has written, or use the version that wrote it"
        ) from error
    if manifest.tasks.keys() != manifest.identity.tasks.keys():
        raise RunError(
            f"{path}: tasks: holds {', '.join(manifest.tasks) or 'none'}, but identity.tasks "
            f"{', '.join(manifest.identity.tasks) or 'none'} · expected the same · use --fresh to "
            "start over"
        )
    segments = manifest.all_segments
    expected = run_id(manifest.identity, segments[0].identity)
    if manifest.format > 1 and manifest.run_id != expected:
        raise RunError(
            f"{path}: run_id is {manifest.run_id!r}, and the identity is that of "
            f"{expected!r} · expected what the run has written · put it back, or "
            "use --fresh to start over"
        )
    if segments[-1].identity != identity_digest(manifest.identity):
        raise RunError(
            f"{path}: segments: the last one has not the identity of the run · expected what the "
            "run has written · put it back, or use --fresh to start over"
        )
    return manifest


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a run folder; one of version 1 stays one."""
    added = {"format", "files", "model_path", "step"} if manifest.format == 1 else set()
    added |= {name for name in RARE_KEYS if not getattr(manifest, name)}
    files.write_json(folder / MANIFEST, manifest.model_dump(mode="json", exclude=added), RUN_ADVICE)


def find_certificate(settings: str, device: str) -> CertificateRef | None:
    """Find the numerics certificate of a settings digest below the working directory.

    None where there is none, or one made on another type of device, which rounds otherwise.
    RunError where it is broken.
    """
    path = CERTIFICATES / f"{settings}.json"
    if not path.exists():
        return None
    content = files.read_json(path)
    certified = content if isinstance(content, dict) else {}
    fields = {name: certified.get(name) for name in _CERTIFIED}
    fields |= {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    try:
        certificate = CertificateRef.model_validate(fields)
    except ValidationError as error:
        raise RunError(
            f"{path}: {first_mistake(error)} · make the certificate again with `vipbench certify`, "
            "or remove it"
        ) from error
    same_type = certificate.device.partition(":")[0] == device.partition(":")[0]
    return certificate if same_type else None


def _by_name(plain: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of an identity with the styles of each task by their names."""
    styles = {
        task: {style["name"]: style for style in listed} for task, listed in plain["styles"].items()
    }
    return plain | {"styles": styles}


def _flat(value: Mapping[str, Any], path: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, child in value.items():
        if isinstance(child, dict):
            flat.update(_flat(child, f"{path}{name}."))
        else:
            flat[f"{path}{name}"] = child
    return flat


def _shown(value: object) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, str):
        is_digest = len(value) == 64 and all(c in "0123456789abcdef" for c in value)
        return value[:8] if is_digest else value
    if isinstance(value, Sequence) and len(value) > 4:
        return f"{len(value)} items ({digest(value)[:8]})"
    return str(value)
