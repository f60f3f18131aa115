"""Results as `.eval_results/*.yaml`, which the Hugging Face hub shows on the page of a model.

The format is that of huggingface/hub-docs, `eval_results.yaml`; it is written by `huggingface_hub`
itself. A number is an accuracy in percent, as in the examples there (cais/hle: 20.90).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

import yaml

from vipbench import files
from vipbench.errors import RunError
from vipbench.exchange.results import Result, Results, by_task

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry

FOLDER = ".eval_results"
"""Where the hub looks for such files, in the repository of a model."""
DIGITS = 2
"""Decimals of a number in percent."""


class HubFile(NamedTuple):
    """A file for the hub, as it will be written."""

    text: str
    n: int
    """Results in it."""
    notes: tuple[str, ...]
    doubtful: tuple[str, ...]
    """Tasks whose numbers are not those of the whole benchmark."""


def hub_file(
    results: Results, dataset_ids: Sequence[str] = (), task_ids: Sequence[str] = ()
) -> HubFile:
    """Make the file of a run's results.

    Args:
        results: of the run.
        dataset_ids: data sets on the hub, for all tasks or as `TASK=ID`; they go before those of
            the task files.
        task_ids: names that the `eval.yaml` of a data set gives its tasks, likewise; default the
            task's own name.

    Raises:
        RunError: The data set of a task is not known, or an id is none.
    """
    from huggingface_hub import eval_result_entries_to_yaml, parse_eval_result_entries

    tasks = [result.row.task for result in results.results]
    datasets = _datasets(results, by_task("--dataset-id", dataset_ids, tasks))
    named = by_task("--task-id", task_ids, tasks)
    names = {
        task: named.get(task) or result.hub.get("task_id") or task
        for task, result in zip(tasks, results.results, strict=True)
    }
    entries = [
        _entry(results, result, datasets[result.row.task], names[result.row.task])
        for result in results.results
    ]
    _check_apart(entries, tasks)
    plain = eval_result_entries_to_yaml(entries)
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=1000)
    if parse_eval_result_entries(yaml.safe_load(text)) != entries:
        raise ValueError(f"does not come back as it was written: {text}")
    own = [task for task in tasks if names[task] == task and task not in named]
    notes = list(results.notes)
    if own:
        notes.append(
            f"task_id: {', '.join(own)}: the name that the task has here; the hub shows the result "
            "where eval.yaml of the data set lists a task of this id · --task-id gives another one"
        )
    doubtful = tuple(result.row.task for result in results.results if result.caveats())
    return HubFile(text, len(entries), tuple(notes), doubtful)


def push(file: HubFile, name: str, repo: str) -> str:
    """Open a pull request with the file at a model's repository; return its address.

    Args:
        file: What is sent.
        name: of the file, `<name>.yaml`.
        repo: of the model, `owner/name`.

    Raises:
        RunError: The hub refuses, or is out of reach.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    operation = huggingface_hub.CommitOperationAdd(
        path_in_repo=f"{FOLDER}/{name}", path_or_fileobj=file.text.encode()
    )
    try:
        done = huggingface_hub.HfApi().create_commit(
            repo_id=repo,
            operations=[operation],
            commit_message=f"Results of vipbench: {name}",
            create_pr=True,
        )
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, OSError) as error:
        words = " ".join(str(error).split())[:200]
        raise RunError(
            f"--push {repo}: was not sent ({type(error).__name__}: {words}) · see that the "
            "repository exists and that you are logged in (`hf auth login`)"
        ) from error
    return str(done.pr_url or done.commit_url)


def check_push(file: HubFile, name: str, repo: str, *, partial: bool) -> None:
    """Refuse to send what is no result of a benchmark, or under a name that the hub does not read.

    Raises:
        RunError: It is refused.
    """
    if PurePath(name).suffix != ".yaml":
        raise RunError(f"-o {name}: the hub reads {FOLDER}/*.yaml · give a name that ends in .yaml")
    _check_id("--push", repo)
    if file.doubtful and not partial:
        raise RunError(
            f"--push {repo}: {', '.join(file.doubtful)}: not a result of the whole benchmark · "
            "complete the run, leave it out with --task, or send it as it is with --partial"
        )


def write(file: HubFile, out: Path) -> None:
    """Write the file; RunError where the disk refuses."""
    files.write_text(out, [file.text])


def _datasets(results: Results, given: Mapping[str, str]) -> dict[str, str]:
    known: dict[str, str] = {}
    missing = []
    for result in results.results:
        task = result.row.task
        if task in given:
            known[task] = _check_id("--dataset-id", given[task])
        elif "dataset_id" in result.hub:
            known[task] = _check_id(f"task {task}, hub.dataset_id", result.hub["dataset_id"])
        else:
            missing.append(task)
    if missing:
        raise RunError(
            f"{', '.join(missing)}: no data set on the hub is known for it · name one with "
            f"--dataset-id OWNER/NAME (or {missing[0]}=OWNER/NAME), or choose another --task"
        )
    return known


def _check_id(option: str, name: str) -> str:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise RunError(
            f"{option} {name!r}: is not an id of the hub · expected OWNER/NAME"
        ) from error
    if name.count("/") != 1:
        raise RunError(f"{option} {name!r}: is not an id of the hub · expected OWNER/NAME")
    return name


def _check_apart(entries: "Sequence[EvalResultEntry]", tasks: Sequence[str]) -> None:
    """Refuse two numbers for one place, of which the hub would show either."""
    places: dict[tuple[str, str], str] = {}
    for entry, task in zip(entries, tasks, strict=True):
        other = places.setdefault((entry.dataset_id, entry.task_id), task)
        if other != task:
            raise RunError(
                f"{other} and {task}: both are {entry.task_id!r} of {entry.dataset_id} · give each "
                "its own --task-id TASK=ID, or choose one with --task"
            )


def _entry(results: Results, result: Result, dataset: str, task_id: str) -> "EvalResultEntry":
    from huggingface_hub import EvalResultEntry

    if result.row.accuracy is None:
        raise ValueError(f"{result.row.task}: has no accuracy")
    return EvalResultEntry(
        dataset_id=dataset,
        task_id=task_id,
        value=round(100 * result.row.accuracy, DIGITS),
        date=results.manifest.finished,
        notes="; ".join(["accuracy in percent", *results.conditions(result)]),
    )
