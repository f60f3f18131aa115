"""Runs of small tasks against the server of `tests/judge_server.py`, in this process or another."""

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from tests.fuzzing.calls import call
from tests.judge_server import Asked
from tests.runs import settings
from vipbench import files
from vipbench.run.settings import RunSettings
from vipbench.runfolder.folder import RESPONSES
from vipbench.runfolder.lines import ResponseLine

REPO = Path(__file__).parent.parent
NAME = "seer"
STYLES = "demo,none,blind"


def asking(
    folder: Path, url: str, *, endpoint: dict[str, Any] | None = None, **fields: Any
) -> RunSettings:
    """Ask the task `own` of a folder through an endpoint."""
    given = {"base_url": url, "tries": 2, **(endpoint or {})}
    defaults: dict[str, Any] = {"runner": "openai", "model": NAME, "batch_size": "auto"}
    defaults |= {"styles": STYLES, "max_errors": 0.01}
    return settings(folder, **(defaults | fields), endpoint=given)


def text_of(asked: Asked) -> str:
    """Return the texts of all messages that were sent."""
    said = []
    for message in asked.body["messages"]:  # type: ignore[attr-defined]
        content = message["content"]
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        said += [part["text"] for part in parts if part["type"] == "text"]
    return "\n".join(said)


def image_of(asked: Asked) -> tuple[Image.Image, dict[str, Any]]:
    """Return the image that was sent, and its part of the message."""
    for message in asked.body["messages"]:  # type: ignore[attr-defined]
        for part in message["content"] if isinstance(message["content"], list) else []:
            if part["type"] == "image_url":
                data = part["image_url"]["url"].partition(",")[2]
                return Image.open(io.BytesIO(base64.b64decode(data))), part["image_url"]
    raise AssertionError("no image was sent")


def has_image(asked: Asked) -> bool:
    return "image_url" in json.dumps(asked.body)


def lines(folder: Path) -> list[ResponseLine]:
    return list(files.read_lines(folder / RESPONSES, ResponseLine))


def command(folder: Path, url: str, *more: str) -> list[str]:
    """Return the same run as a command."""
    program = "from vipbench.cli import main; main()"
    given = ["--runner", "openai", "--base-url", url, "--model", NAME, "--tasks", "own"]
    given += [
        "--include",
        str(folder),
        "-o",
        str(folder / "run"),
        "--tries",
        "2",
        "--styles",
        STYLES,
    ]
    return [sys.executable, "-c", program, "run", *given, *more]


def vipbench_command(*words: str) -> subprocess.CompletedProcess[str]:
    """Give a command, in this process; a traceback is exit code 1, as at a shell."""
    ran = call(words, REPO)
    code = int(ran.code) if ran.code is not None else 1
    return subprocess.CompletedProcess(words, code, ran.out, ran.err + ran.trace)


def vipbench(folder: Path, url: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Give the command of a run, in this process."""
    return vipbench_command(*command(folder, url, *more)[3:])
