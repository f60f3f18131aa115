"""The files of a run folder: their names, whose they are, how a run is removed.

`manifest.json`: what was run. `requests.jsonl`: one Trial a line, in request order.
`responses.jsonl`: one answer a line, appended a batch at a time. `scores.jsonl`: one score a line,
in request order. `summary.json`: rows of metrics. `judge.json`: who graded it, where anybody did.
`name.json`: what people call it.
Only one process writes.
"""

import os
from pathlib import Path

from vipbench.errors import RunError, nearest
from vipbench.files import Advice, read_json, write_error

MANIFEST = "manifest.json"
REQUESTS = "requests.jsonl"
RESPONSES = "responses.jsonl"
SCORES = "scores.jsonl"
SUMMARY = "summary.json"
FILES = (MANIFEST, REQUESTS, RESPONSES, SCORES, SUMMARY)
JUDGE = "judge.json"
"""In the folder of a run that was judged, beside its ledger of grades."""
EXTRACTORS = "extractors.json"
"""In the folder of a run whose unread answers a model has read, beside its ledger."""
NAME = "name.json"
"""In the folder of a run that somebody has given a name or a step; may be edited by hand."""
RUN_ADVICE = Advice(
    full=(
        "nothing that was answered is lost · make room, then give the same command again to resume"
    ),
    broken="use --fresh to start over",
    missing="expected the folder of a started run",
)
"""What is said of the files of a run that cannot be written or read."""


def check_run(folder: Path) -> None:
    """Refuse what is not the folder of a run that was started; RunError says what is there."""
    wanted = "expected the folder of a run"
    if not os.path.lexists(folder):
        others = (path.parent.name for path in folder.parent.glob(f"*/{MANIFEST}"))
        near = nearest(folder.name, others)
        hint = near if "did you mean" in near else ""
        raise RunError(f"{folder}: no such folder · {wanted}{hint}")
    if not folder.is_dir():
        raise RunError(f"{folder}: is not a folder · {wanted}")
    if not os.path.lexists(folder / MANIFEST):  # a link that leads nowhere is named as such
        raise RunError(f"{folder}: holds no run · {wanted}, with {MANIFEST}{run_inside(folder)}")


def run_inside(folder: Path) -> str:
    """Name the nearest run below a folder, as the end of a message; empty where there is none."""
    for pattern in ("*", "*/*", "*/*/*"):
        found = sorted(path.parent for path in folder.glob(f"{pattern}/{MANIFEST}"))
        if found:
            more = f" (and {len(found) - 1:,} more there)" if len(found) > 1 else ""
            return f" · did you mean {found[0]}{more}?"
    return ""


def remove_run(folder: Path) -> None:
    """Remove the files of a run from its folder, and nothing else.

    The ledger of grades stays: each of them was paid for, and is valid for its answer only.
    """
    check_own(folder)
    try:
        for name in (*FILES, JUDGE, EXTRACTORS, NAME):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise write_error(folder, error, RUN_ADVICE) from error


def check_own(folder: Path) -> None:
    """Refuse a folder whose `manifest.json` is not that of a run, such as a web page's."""
    path = folder / MANIFEST
    if not path.is_file():
        return
    try:
        content = read_json(path)
    except RunError:
        return  # a broken one may be a run's
    if not (isinstance(content, dict) and "run_id" in content):
        raise RunError(f"{path}: is not the manifest of a run · give another -o")
