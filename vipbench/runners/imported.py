"""The runner of `vipbench import`: answers made elsewhere, from files, in place of a model."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from vipbench.errors import RunError, RunnerError
from vipbench.exchange.formats import AnswerFile, read_answers
from vipbench.exchange.matching import Placed, digest_files, match_answers, name_model
from vipbench.runfolder.manifest import IMPORTED, Settings
from vipbench.runners.contract import Runner, RunnerSettings
from vipbench.runners.spec import BuildContext, Model, ModelChoice, RunContext, RunnerSpec
from vipbench.schema import Request, Response, TaskSpec
from vipbench.trials.selection import Selection, TaskChoice

ELSEWHERE = "elsewhere"
"""Style of answers of which nobody says how they were made."""


class ImportedRunner:
    """Gives the answers of a file; images are neither loaded nor looked at."""

    image_size = None
    reads_images = False

    def __init__(self, model: str, responses: Mapping[tuple[str, str, str], Response]) -> None:
        """Take the response of each (task, style, sample id); `model` is who gave the answers."""
        self.settings = RunnerSettings(model=model, decoding="unknown")
        self._responses = responses

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        """Answer every request; `images` may be empty."""
        return [self._responses[request.task, request.style, request.id] for request in requests]


class ImportedSpec(RunnerSpec):
    """Answers made elsewhere, in place of a model; `vipbench import` takes them."""

    summary = "answers made elsewhere, from files"
    rule = "exact"
    batch_size = 1024
    several_images = True

    @cached_property
    def files(self) -> dict[str, AnswerFile]:
        """Task, or `task@style` -> its answers; DataError where a file cannot be read."""
        return {
            name: read_answers(path, self.choice.answers_format)
            for name, path in self.choice.answers.items()
        }

    @cached_property
    def by_task(self) -> dict[str, list[str]]:
        """Task -> the names of its files."""
        found: dict[str, list[str]] = {}
        for name in self.files:
            found.setdefault(name.partition("@")[0], []).append(name)
        return found

    def check(self) -> None:
        """Read the files, and find out who gave the answers."""
        super().check()
        name_model(self.files, self.choice.model)

    def styles_of(self, styles: str | None, suite: str | None) -> Mapping[str, str | None]:
        """Return the styles of each task's files; None where the suite's stands.

        RunError where a task has several files, and one of them does not say its style.
        """
        self.stated = {
            name: _stated(name, file, styles, suite) for name, file in self.files.items()
        }
        wanted: dict[str, str | None] = {}
        for task, names in self.by_task.items():
            expressions = [self.stated[name].expression for name in names]
            if len(names) > 1 and None in expressions:
                raise RunError(
                    f"{task}={self.files[task].path}: whose style is that of suite {suite} stands"
                    f" beside {' and '.join(name for name in names if name != task)} · expected a"
                    f" style for each file · give {task}@STYLE=FILE"
                )
            wanted[task] = ";".join(text for text in expressions if text) or None
        return wanted

    def check_selection(self, selection: Selection) -> None:
        """Refuse files and tasks that do not go together; RunError says what to give."""
        asked = {choice.spec.name: choice for choice in selection.tasks}
        for joint in selection.joints:
            self._check_joint(joint, asked)
        for task in self.by_task.keys() - asked.keys():
            raise RunError(f"{task}: is not asked; {'; '.join(selection.notes)}")
        self.placed: dict[tuple[str, str], Placed] = {}
        for task, choice in asked.items():
            names = self.by_task[task]
            styles = [style.name for style in choice.styles]
            if len(names) != len(styles):
                left_out = "".join(f" ({note})" for note in selection.notes)
                stand = "files stand" if names[1:] else "file stands"
                raise RunError(
                    f"{task}: answers were made under one style, and {len(names)} {stand} under"
                    f" {', '.join(styles)}{left_out} · give one --styles, or each file its own:"
                    f" {task}@STYLE=FILE"
                )
            for name, style in zip(names, styles, strict=True):
                said_by = self.stated[name].said_by
                self.placed[task, style] = Placed(self.files[name], said_by)

    def _check_joint(self, joint: TaskSpec, asked: Mapping[str, TaskChoice]) -> None:
        parts = [str(part) for part in joint.data]
        if joint.name in self.by_task or not self.by_task.keys() >= set(parts):
            wanted = " ".join(f"{part}=FILE" for part in parts)
            raise RunError(f"{joint.name}: is scored from its parts · give {wanted}")
        named = {part: [style.name for style in asked[part].styles] for part in parts}
        if len({frozenset(styles) for styles in named.values()}) > 1:
            told = ", ".join(f"{part} under {', '.join(styles)}" for part, styles in named.items())
            raise RunError(
                f"{joint.name}: its parts were answered under different styles ({told}) · expected"
                " the same ones · import the parts one by one"
            )

    def describe(self, context: RunContext) -> Model:
        """Match answers and samples; only the files are known of who gave them."""
        matched = match_answers(self.placed, context.trials, context.ids)
        name = name_model(self.files, self.choice.model)
        runner = ImportedRunner(name, matched.responses)
        return Model(
            name=name,
            settings=Settings(
                weights=digest_files(self.files), prompt_format=None, dtype=None, decoding=IMPORTED
            ),
            load=lambda trials, budget_to_try: runner,
            device="",
            notes=matched.notes,
        )

    @classmethod
    def build(cls, choice: ModelChoice, context: BuildContext = BuildContext()) -> Runner:  # noqa: B008  # immutable
        """Refuse it: answers belong to the samples of a run, which `describe` matches them with."""
        raise RunnerError(
            f"runner {choice.runner}: cannot be built without a run · give answers made elsewhere "
            "to `vipbench import TASK=FILE`"
        )

    def fault_in_workers(self) -> str:
        """Say that there is nothing to share out."""
        return f"runner {self.name} has no model to load in other processes · leave it out"

    def check_answers(self) -> None:
        """Refuse a run without answers."""
        if not self.choice.answers:
            raise RunnerError(
                f"runner {self.name}: has no answers · give answers made elsewhere to "
                "`vipbench import TASK=FILE`"
            )


class _Stated(NamedTuple):
    """Which style answers were made under, and who says so."""

    expression: str | None
    """None: that of the suite."""
    said_by: str
    """Empty: nobody, and the style is `elsewhere`."""


def _stated(name: str, file: AnswerFile, styles: str | None, suite: str | None) -> _Stated:
    """Find out who says of a file how its answers were made: the user, the file, the suite."""
    of_file = name.partition("@")[2]
    said = _Stated(ELSEWHERE, "")
    if suite is not None:
        said = _Stated(None, f"suite {suite}")
    if file.style:
        said = _Stated(file.style, file.path.name)
    if styles is not None:
        said = _Stated(styles, "--styles")
    if of_file:
        said = _Stated(of_file, name)
    return said._replace(said_by="") if said.expression == ELSEWHERE else said
