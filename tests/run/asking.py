"""What tests of the loop share: runs of a made-up task, and what they leave."""

from pathlib import Path

from tests.runs import settings
from vipbench.console import Console
from vipbench.run.loop import run
from vipbench.run.score import Results
from vipbench.run.settings import RunSettings
from vipbench.runfolder.folder import REQUESTS, SCORES, SUMMARY
from vipbench.runfolder.summary import ALL, Row

DATA = Path(__file__).parent.parent / "data"


SCORED = (SCORES, SUMMARY)


def files(folder: Path) -> dict[str, bytes]:
    """Return the files that must not depend on how a run came about."""
    return {name: (folder / name).read_bytes() for name in (REQUESTS, *SCORED)}


def rows(results: Results, group: str = ALL) -> dict[tuple[str, str], Row]:
    return {(row.task, row.style): row for row in results.rows if row.group == group}


def said(folder: Path, **fields: object) -> tuple[Results, list[str]]:
    messages: list[str] = []
    return run(settings(folder, **fields), console=Console(messages.append)), messages


def spoil(folder: Path, number: int) -> None:
    """Cut an image in the middle: its header is whole, decoding fails."""
    whole = (folder / f"{number}.png").read_bytes()
    (folder / f"{number}.png").write_bytes(whole[: len(whole) * 2 // 3])


BROKEN_RUNNERS = """
from vipbench.errors import RunnerError

class Refusing:
    image_size = 8
    def __init__(self, model):
        raise RunnerError("runner: no licence was found")
    def generate(self, requests, images):
        return []

class Buggy(Refusing):
    def __init__(self, model):
        raise ZeroDivisionError

class WithoutModel(Refusing):
    def __init__(self):
        pass
"""


def with_model(folder: Path, checkpoint: Path, **fields: object) -> RunSettings:
    given: dict[str, object] = {"runner": "vipllava", "model": str(checkpoint), "device": "cpu"}
    return settings(folder, **(given | fields))
