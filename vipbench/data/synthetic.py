"""synthetic: part of what was vipbench/data/locate.py."""

from vipbench.schema import DataSource

SYNTHETIC_MARKER = "vipbench-synthetic.json"
"""File that the demo generator leaves beside question files; every table then says `synthetic`."""


# --- files


def is_synthetic(source: DataSource) -> bool:
    """Say whether the data were made by the demo generator."""
    folder = source.questions if source.questions.is_dir() else source.questions.parent
    return (folder / SYNTHETIC_MARKER).exists()
