"""Data of the demo generator, which are told apart from a benchmark's by a file beside them."""

from vipbench.schema import DataSource

SYNTHETIC_MARKER = "vipbench-synthetic.json"
"""File that the demo generator leaves beside question files; every table then says `synthetic`."""


def is_synthetic(source: DataSource) -> bool:
    """Say whether the data were made by the demo generator."""
    folder = source.questions if source.questions.is_dir() else source.questions.parent
    return (folder / SYNTHETIC_MARKER).exists()
