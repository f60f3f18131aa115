"""Writes the answers of a run in the formats of other programs."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vipbench import files
from vipbench.errors import RunError, VipbenchError, nearest
from vipbench.exchange.formats import (
    FORMATS,
    READ_ONLY,
    Reply,
    official_answers,
    plain_csv,
    plain_jsonl,
    vip_bench_results,
    visual7w_results,
)
from vipbench.images.load import load_measured
from vipbench.runfolder import answers_file, trials_file
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import REQUESTS, RESPONSES, SCORES
from vipbench.runfolder.lines import ScoreLine, TrialId, trial_id
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.opened import open_run
from vipbench.runfolder.progress import check_whole
from vipbench.schema import Request, Trial
from vipbench.scoring.answers import parse_choice

if TYPE_CHECKING:
    import datasets

FIRST_OPTION = "\nA. "
"""What ends the question in a user's text with options; see `prompts.wording.CHOICE_TEMPLATE`."""
ONE_IMAGE = {"visual7w": "the Visual7W toolkit", "vip_bench": "the evaluator of ViP-Bench"}
"""Format -> what reads it, of which no question shows several images."""
SHOWN_IDS = 5


class Exported(NamedTuple):
    """What was written, and what was not."""

    n: int
    """Answers in the file."""
    notes: tuple[str, ...]


class _Answers(NamedTuple):
    """The samples of one task under one style, in the order of the data."""

    task: str
    style: str
    n_samples: int
    """Of the full task."""
    indices: tuple[int, ...]
    """Of the answered ones among the trials."""
    replies: tuple[Reply, ...]
    """One an index."""
    failed: tuple[str, ...]
    """Ids of the samples that have no answer."""
    axes: tuple[str, ...]
    """Tags that any of the answered ones has."""
    has_options: bool
    """Whether any of the answered ones is a choice."""
    several: Mapping[str, int]
    """Id -> images that it shows, of the answered ones that show several."""

    def gaps(self) -> list[str]:
        """Say which samples of the task are not in a file of these answers."""
        n_asked = len(self.replies) + len(self.failed)
        few = ", ".join(self.failed[:SHOWN_IDS]) + ", …" * (len(self.failed) > SHOWN_IDS)
        notes = [f"{len(self.failed):,} samples failed and have no answer ({few})"]
        subset = [f"the run asked {n_asked:,} of {self.n_samples:,} samples"]
        return notes * bool(self.failed) + subset * (n_asked < self.n_samples)


def export_run(
    folder: Path,
    as_format: str,
    out: Path,
    *,
    task: str | None = None,
    style: str | None = None,
    partial: bool = False,
) -> Exported:
    """Write the answers to one task of a finished run, under one style.

    Args:
        folder: of the run.
        as_format: one of `formats.FORMATS`.
        out: the file to write; for `datasets` a new or empty folder.
        task: may be left out where the run has one.
        style: default the task's headline style.
        partial: write `vip_bench` although samples are missing, at which its evaluator stops.

    Raises:
        RunError: The run has not ended, or does not hold what the format needs; or `out` cannot be
            written.
        DataError: An image for `datasets` cannot be drawn, or ids are not those of the format.
    """
    manifest = open_run(folder)
    written = [name for name in FORMATS if name not in READ_ONLY]
    if as_format not in written:
        raise RunError(f"format {as_format!r} is unknown{nearest(as_format, written)}")
    if manifest.finished is None:
        raise RunError(f"{folder}: has not ended · give the command of the run again to resume")
    check_whole(folder, manifest)
    answers = _collect(folder, manifest, _task(manifest, task), style)
    _check_several(answers, as_format)
    notes = [f"{answers.task}: {gap}; left out" for gap in answers.gaps()]
    if as_format == "datasets":
        _write_datasets(folder, answers, out)
        if manifests.is_elsewhere(manifest.identity, answers.task, answers.style):
            notes.append(
                f"{answers.task}: was asked elsewhere: the pictures have no marks of ours, and"
                " the texts are not those that the model saw"
            )
        return Exported(len(answers.replies), tuple(notes))
    replies = answers.replies
    texts = {reply.id: reply.text for reply in replies}
    if as_format == "answers":
        parts = official_answers(replies, manifest.identity.model)
    elif as_format == "visual7w":
        notes = [f"{note}: the toolkit divides by what is in the file" for note in notes]
        notes += _without_box(answers.task, replies)
        parts = visual7w_results(replies)
    elif as_format == "vip_bench":
        _check_complete(answers, partial)
        parts = vip_bench_results(texts)
    else:
        parts = plain_csv(texts) if as_format == "csv" else plain_jsonl(texts)
    files.write_text(out, ["".join(parts)])  # joined first: what is refused leaves no file behind
    return Exported(len(replies), tuple(notes))


def _task(manifest: Manifest, task: str | None) -> str:
    """Return the task that is meant; RunError where that is not clear."""
    plain = [name for name, run in manifest.tasks.items() if not run.parts]
    if task is None:
        if len(plain) > 1:
            raise RunError(f"the run has the tasks {', '.join(plain)} · name one with --task")
        return plain[0]
    if task in manifest.tasks and task not in plain:
        parts = " or ".join(manifest.tasks[task].parts)
        raise RunError(f"--task {task}: is scored from its parts · expected {parts}")
    if task not in plain:
        raise RunError(f"--task {task!r} is not in this run{nearest(task, plain)}")
    return task


def _collect(folder: Path, manifest: Manifest, task: str, style: str | None) -> _Answers:
    trials = trials_file.open_trials(folder / REQUESTS)
    responses = answers_file.read_responses(folder / RESPONSES)
    names = [entry.name for entry in trials.entries]
    known = dict.fromkeys(name.style for name in names if name.task == task)
    style = manifest.tasks[task].headline if style is None else style
    if style not in known:
        raise RunError(f"--style {style!r}: {task} was not asked under it{nearest(style, known)}")
    indices, replies, failed = [], [], []
    axes: dict[str, None] = {}
    has_options = False
    several: dict[str, int] = {}
    for index, trial in enumerate(trials):
        if (trial.task, trial.style) != (task, style):
            continue
        response = responses.get(trial_id(trial))
        if trial.request is None or response is None or response.text is None:
            failed.append(trial.id)
            continue
        indices.append(index)
        replies.append(_reply(trial, trial.request, response.text))
        axes.update(dict.fromkeys(trial.tags))
        has_options |= bool(trial.request.options)
        if trial.request.images:
            several[trial.id] = len(trial.request.images)
    return _Answers(
        task=task,
        style=style,
        n_samples=manifest.tasks[task].n_samples,
        indices=tuple(indices),
        replies=tuple(replies),
        failed=tuple(failed),
        axes=tuple(axes),
        has_options=has_options,
        several=several,
    )


def _reply(trial: Trial, request: Request, text: str) -> Reply:
    letter = parse_choice(text, request.options)
    boxes = dict(zip(request.options, trial.choice_ids, strict=False))
    asked = request.turns[-1]
    facts = "\n".join((*trial_id(trial), request.key))
    return Reply(
        id=trial.id,
        text=text,
        asked=asked,
        question=asked.partition(FIRST_OPTION)[0],
        box=boxes.get(letter or "", "") if boxes else None,
        name=hashlib.sha256(facts.encode()).hexdigest()[:22],
    )


def _without_box(task: str, replies: Sequence[Reply]) -> list[str]:
    n = sum(not reply.box for reply in replies)
    words = f"{task}: {n:,} answers name no option; written without a candidate, which is wrong"
    return [f"{words} for the toolkit as it is here"] if n else []


def _check_several(answers: _Answers, as_format: str) -> None:
    """Refuse questions about several images in formats of programs that know none."""
    for id_, n in answers.several.items():
        if as_format in ONE_IMAGE:
            raise RunError(
                f"{answers.task}: sample {id_!r} shows {n} images · format {as_format} is for "
                f"{ONE_IMAGE[as_format]}, whose questions are about one · export as datasets, "
                "answers, csv or jsonl"
            )


def _check_complete(answers: _Answers, partial: bool) -> None:
    gaps = answers.gaps()
    if gaps and not partial:
        raise RunError(
            f"{answers.task}: {'; '.join(gaps)} · the evaluator of ViP-Bench needs all · complete "
            "the run, or write the others with --partial"
        )


# --- a folder for the library `datasets`


def _write_datasets(folder: Path, answers: _Answers, out: Path) -> None:
    """Write pictures as drawn, questions and answers; all or nothing."""
    import datasets  # takes a second
    from datasets.exceptions import DatasetGenerationError

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"-o {out}: is not empty · give a new or an empty folder")
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
            rows = datasets.Dataset.from_generator(
                _rows,
                features=_features(answers),
                gen_kwargs={"folder": str(folder), "task": answers.task, "style": answers.style},
                cache_dir=f"{scratch}/cache",
            )
            rows.save_to_disk(f"{scratch}/done")
            (Path(scratch) / "done").rename(out)
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, VipbenchError | OSError):
            raise RunError(f"-o {out}: cannot be made ({error.__cause__})") from error
        raise
    except OSError as error:
        raise RunError(
            f"-o {out}: cannot be written ({error.strerror}) · give another folder, or make room"
        ) from error
    finally:
        if not bars:
            datasets.enable_progress_bars()


def _features(answers: _Answers) -> "datasets.Features":
    """Describe the columns: a question as `reader: jsonl` reads it, and what the run made of it."""
    import datasets

    text = datasets.Value("string")
    texts = datasets.List(text)
    image = datasets.Image()
    # Of questions about one image among others, `images` is a list of one.
    shown = {"images": datasets.List(image)} if answers.several else {"image": image}
    columns = {"id": text} | shown | {"question": text}
    if answers.has_options:
        columns["choices"] = texts
    columns |= {"answer": text, "group": text}
    if answers.axes:
        columns["tags"] = dict.fromkeys(answers.axes, texts)
    names = ("task", "style", "model", "text", "parsed", "metric", "error")
    columns["run"] = dict.fromkeys(names, text) | {
        "value": datasets.Value("float64"),
        "turns": texts,
    }
    return datasets.Features(columns)


def _rows(folder: str, task: str, style: str) -> Iterator[dict[str, object]]:
    """Yield the rows; plain arguments, because `datasets` digests them."""
    from PIL import Image

    run = Path(folder)
    manifest = manifests.read(run)
    answers = _collect(run, manifest, task, style)
    scores = _headline_scores(run)
    images = manifest.tasks[task].image_roots
    trials = trials_file.open_trials(run / REQUESTS)
    for index, reply in zip(answers.indices, answers.replies, strict=True):
        trial = trials[index]
        request = trial.request
        score = scores.get(trial_id(trial))
        if request is None or score is None:
            raise RunError(f"{run}: changed while it was being read · try again")
        pictures = [Image.fromarray(each) for each in load_measured(request, images, None).each]
        row: dict[str, object] = {
            "id": trial.id,
            **({"images": pictures} if answers.several else {"image": pictures[0]}),
            "question": request.turns[-1],
            "answer": trial.target,
            "group": trial.group,
            "run": {
                "task": task,
                "style": style,
                "model": manifest.identity.model,
                "text": reply.text,
                "parsed": score.answer,
                "metric": score.metric,
                "value": score.value,
                "error": score.error,
                "turns": list(request.turns),
            },
        }
        if request.options:
            row["choices"] = list(request.options)
        if trial.tags:
            row["tags"] = {axis: list(values) for axis, values in trial.tags.items()}
        yield row


def _headline_scores(folder: Path) -> dict[TrialId, ScoreLine]:
    """Read the scores; of several metrics the headline stands first."""
    scores: dict[TrialId, ScoreLine] = {}
    for line in files.read_lines(folder / SCORES, ScoreLine):
        scores.setdefault(trial_id(line), line)
    return scores
