"""A built-in runner as a newcomer adds one: this file, and its line in the table of `registry`."""

from vipbench.runfolder.manifest import Settings
from vipbench.runners.contract import RunnerSettings
from vipbench.runners.spec import Model, RunnerSpec
from vipbench.schema import Response


class ToyRunner:
    """Answers with the last option."""

    image_size = None
    reads_images = False
    settings = RunnerSettings(model="toy")

    def generate(self, requests, images):  # type: ignore[no-untyped-def]
        return [Response(text=request.options[-1]) for request in requests]


class ToySpec(RunnerSpec):
    """What the toy says of itself."""

    summary = "a toy: always the last option"
    batch_size = 5

    def describe(self, context):  # type: ignore[no-untyped-def]
        return Model(
            name="toy",
            settings=Settings(weights=None, prompt_format=None, dtype=None, decoding="last"),
            load=lambda trials, budget_to_try: ToyRunner(),
            device="cpu",
        )

    @classmethod
    def build(cls, choice, context=None):  # type: ignore[no-untyped-def]
        return ToyRunner()
