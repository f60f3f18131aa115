"""Reads `flags.csv`: image, side, colour of that side."""

import csv
from collections.abc import Iterator

from vipbench.schema import DataSource, Problem, Region, Sample

BOXES = {"left": (4.0, 4.0, 12.0, 12.0), "right": (20.0, 4.0, 28.0, 12.0)}


def read(source: DataSource) -> Iterator[Sample | Problem]:
    """Yield one sample a line."""
    with (source.questions / "flags.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            sample_id = f"{row['image'].removesuffix('.png')}-{row['side']}"
            if row["side"] not in BOXES:
                message = f"side {row['side']!r}: expected left or right"
                yield Problem(id=sample_id, code="bad_side", message=message)
                continue
            yield Sample(
                id=sample_id,
                image=row["image"],
                question="What colour is this part?",
                target=row["colour"],
                regions=(Region(box=BOXES[row["side"]]),),
                target_region=0,
                group=row["image"],
                tags={"side": (row["side"],)},
            )
