"""The runner of `vipbench import`: answers made elsewhere, from files, in place of a model."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from vipbench.errors import RunError, RunnerError
from vipbench.exchange.formats import AnswerFile, read_answers
from vipbench.exchange.matching import digest_files, match_answers, name_model
from vipbench.runfolder.manifest import IMPORTED, Settings
from vipbench.runners.contract import Runner, RunnerSettings
from vipbench.runners.spec import BuildContext, Model, ModelChoice, RunContext, RunnerSpec
from vipbench.schema import Request, Response
from vipbench.trials.selection import Selection


class ImportedRunner:
    """Gives the answers of a file; images are neither loaded nor looked at."""

    image_size = None
    reads_images = False

    def __init__(self, model: str, responses: Mapping[tuple[str, str], Response]) -> None:
        """Take the response of each (task, sample id); `model` is who gave the answers."""
        self.settings = RunnerSettings(model=model, decoding="unknown")
        self._responses = responses

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        """Answer every request; `images` may be empty."""
        return [self._responses[request.task, request.id] for request in requests]


class ImportedSpec(RunnerSpec):
    """Answers made elsewhere, in place of a model; `vipbench import` takes them."""

    summary = "answers made elsewhere, from files"
    rule = "exact"
    batch_size = 1024

    @cached_property
    def files(self) -> dict[str, AnswerFile]:
        """Task -> its answers; DataError where a file cannot be read."""
        return {
            task: read_answers(path, self.choice.answers_format)
            for task, path in self.choice.answers.items()
        }

    def check(self) -> None:
        """Read the files, and find out who gave the answers."""
        super().check()
        name_model(self.files, self.choice.model)

    def check_selection(self, selection: Selection) -> None:
        """Refuse files and tasks that do not go together; RunError says what to give."""
        asked = {choice.spec.name: choice for choice in selection.tasks}
        for joint in selection.joints:
            parts = [str(part) for part in joint.data]
            if joint.name in self.files or not self.files.keys() >= set(parts):
                wanted = " ".join(f"{part}=FILE" for part in parts)
                raise RunError(f"{joint.name}: is scored from its parts · give {wanted}")
        for name in self.files.keys() - asked.keys():
            raise RunError(f"{name}: is not asked; {'; '.join(selection.notes)}")
        for name, choice in asked.items():
            if len(choice.styles) > 1:
                styles = ", ".join(style.name for style in choice.styles)
                raise RunError(
                    f"{name}: answers were made under one style, not under {styles} · give one "
                    "--styles"
                )

    def describe(self, context: RunContext) -> Model:
        """Match answers and samples; only the files are known of who gave them."""
        matched = match_answers(self.files, context.trials, context.ids)
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
