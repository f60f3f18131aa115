"""Finished runs that are held against published numbers, and what is asked of the outcome."""

from pathlib import Path
from typing import Any

from tests.results import lines, manifest, row, save_rows, save_scores, task_run
from vipbench.analysis.reproduce.published import Protocol, Published, Registry
from vipbench.analysis.reproduce.records import Comparison, ReasonCode, Reproduction

V7W, POINTQA, VCR = "visual7w_pointing", "pointqa_looktwice", "vcr_q2ar"
VIP_7B, VIP_13B = "mucai/vip-llava-7b", "mucai/vip-llava-13b"


def v7w(folder: Path, accuracy: float | None, model: str = VIP_7B, **fields: Any) -> Path:
    """Write a run of Visual7W, complete and by the published protocol but for `fields`."""
    of_task = fields.pop("task", {})
    of_row = fields.pop("row", {})
    made = manifest(model, {V7W: task_run(V7W, n_samples=57265, **of_task)}, **fields)
    return save_rows(folder, made, [row(V7W, accuracy, **({"n": 57265} | of_row))])


def published(
    found: Reproduction, value: float, source: str | None = None, group: str = "all"
) -> Comparison:
    [one] = [
        each
        for each in found.comparisons
        if (each.published.value, each.published.group) == (value, group)
        and source in (None, each.published.source)
    ]
    return one


def codes(comparison: Comparison) -> list[ReasonCode]:
    return [reason.code for reason in comparison.reasons]


def differing(comparison: Comparison) -> dict[str, tuple[str, str]]:
    return {each.what: (each.run, each.published) for each in comparison.differences}


def small_registry(n: int, value: float) -> list[Registry]:
    number = Published(
        system="One",
        models=("some/one",),
        task=V7W,
        split="test",
        metric="text_match",
        value=value,
        n=n,
        table=None,
        url=None,
        source="primary",
        protocol="official",
    )
    protocol = Protocol(text="As published", style="official_rectangles", decoding="official")
    return [
        Registry(
            title="One",
            splits={V7W: "test"},
            protocols={"official": protocol},
            numbers=(number,),
        )
    ]


def seeded(
    folder: Path, seed: int, values: list[float | None], model: str = "some/one", **fields: Any
) -> Path:
    made = manifest(
        model,
        {V7W: task_run(V7W, n_samples=len(values))},
        identity={"seed": seed, "requests": {V7W: f"{seed:064}"}},
        settings={"decoding": "official"},
    )
    return save_scores(folder, made, lines(V7W, values, **fields))
