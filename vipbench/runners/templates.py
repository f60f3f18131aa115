"""Chat templates: which one a checkpoint has, and what it writes, in bounded time and memory."""

import json
import os
import re
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from vipbench.errors import RunnerError

TEMPLATE_DATE = "2024-07-26"
"""The day on which every chat template is rendered, at midnight: the one that templates of Llama
3.1 write where there is no clock (meta-llama/Llama-3.1-8B-Instruct, tokenizer_config.json)."""
SECONDS = 10
"""After which a rendering is given up; a usual one takes less than a thousandth of one."""
_ENVIRONMENT = {
    "TZ": "UTC",
    "LC_ALL": "C",
    "PYTHONUTF8": "1",
    "PYTHONHASHSEED": "0",
}
"""Of the process, so that a prompt is the same in all places."""
_ADVICE = "correct it, or use --prompt-format hf or llava_v1"


@dataclass(frozen=True)
class ChatTemplate:
    """A chat template and where it stands, for messages."""

    text: str
    where: str = "prompt format chat_template"
    advice: str = _ADVICE
    """What to do where it cannot be used."""

    @property
    def date(self) -> str | None:
        """The day that it is told, where it asks for one (`strftime_now`)."""
        return TEMPLATE_DATE if re.search(r"\bstrftime_now\b", self.text) else None

    def check_repeats(self, prompt: str) -> None:
        """Refuse a prompt that is another in the next process; RunnerError."""
        if match := re.search(r"<[^<>]* at 0x[0-9a-fA-F]+>", prompt):
            raise RunnerError(
                f"{self.where}: writes {match[0]}, an address of this process's memory · expected "
                f"the same prompt each time · {self.advice}"
            )

    def render(self, messages: Sequence[Mapping[str, Any]], names: Mapping[str, Any]) -> str:
        """Write a conversation up to the assistant's next turn, as transformers would.

        `names` are those of the special tokens (`special_tokens_map`).

        Raises:
            RunnerError: the template cannot be read, fails, or needs too much time, memory or text.
        """
        variables = {
            "tools": None,
            "documents": None,
            "add_generation_prompt": True,
            **{name: _plain(token) for name, token in names.items()},
            "messages": messages,
        }
        answer = _renderer.ask({"template": self.text, "variables": variables, "seconds": SECONDS})
        if "text" not in answer:
            raise RunnerError(
                f"{self.where}: {answer['error']} · expected a template that writes contents of "
                f"several parts, text and image · {self.advice}"
            )
        return answer["text"]


def as_template(text: str) -> str:
    """Write a template that renders to a text, whatever that holds."""
    return "{{ " + json.dumps(text, ensure_ascii=False) + " }}"


def choose_template(value: object, where: str, advice: str = _ADVICE) -> ChatTemplate | None:
    """Take the template of a file or a processor: text, or of several the one named `default`.

    Raises:
        RunnerError: it is neither.
    """
    named = value
    if isinstance(value, list | tuple):
        named = {
            entry.get("name"): entry.get("template") for entry in value if isinstance(entry, dict)
        }
    text = named.get("default") if isinstance(named, dict) else named
    if value is None or value == "":
        return None
    if not isinstance(text, str):
        raise RunnerError(
            f"{where}: chat_template is {_shown(value, named)} · expected the text of a template, "
            f"or several of which one is named default · {advice}"
        )
    return ChatTemplate(text, where, advice)


def _plain(token: object) -> object:
    return [str(part) for part in token] if isinstance(token, list | tuple) else str(token)


def _shown(value: object, named: object) -> str:
    if isinstance(named, dict):
        return f"a list of templates named {', '.join(map(repr, named)) or 'nothing'}"[:100]
    return f"{value!r}"[:100]


class _Renderer:
    """The process that renders; started when it is first asked, and again after it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        """The process that started it: one that was forked from it needs its own."""
        weakref.finalize(self, _end, self.__dict__)

    def ask(self, question: Mapping[str, Any]) -> dict[str, str]:
        """Return `text`, or `error` in words."""
        line = json.dumps(question).encode() + b"\n"
        with self._lock:
            return self._ask(line)

    def _ask(self, line: bytes) -> dict[str, str]:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        start = time.monotonic()
        answer = b""
        with suppress(OSError):  # it has ended: there is no answer
            process.stdin.write(line)
            process.stdin.flush()
            answer = process.stdout.readline()
        if answer.endswith(b"\n"):
            decoded: dict[str, str] = json.loads(answer)
            return decoded
        status = _end(self.__dict__)
        if time.monotonic() - start >= SECONDS:
            return {"error": f"does not end within {SECONDS} s"}
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        return {"error": f"ended the process that renders it ({how})"}

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._owner != os.getpid():
            self._process, self._owner = None, os.getpid()
        if self._process is None or self._process.poll() is not None:
            _end(self.__dict__)
            name = "vipbench.runners.template_process"
            code = f"import sys; sys.path[:] = {sys.path!r}; from {name} import serve; serve()"
            try:
                self._process = subprocess.Popen(  # noqa: S603  # this interpreter, this package
                    [sys.executable, "-c", code],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=os.environ | _ENVIRONMENT,
                    start_new_session=True,  # out of reach of Ctrl-C, which is for its parent
                )
            except OSError as error:
                raise RunnerError(
                    "chat template: the process that renders it cannot be started "
                    f"({error.strerror}) · give the same command again"
                ) from error
        return self._process


def _end(renderer: dict[str, Any]) -> int:
    """End the process, if any, and return its exit code."""
    process: subprocess.Popen[bytes] | None = renderer["_process"]
    if process is None or renderer["_owner"] != os.getpid():
        return 0
    renderer["_process"] = None
    assert process.stdin is not None
    assert process.stdout is not None
    # What ended by itself keeps its exit code; one that only closed its pipes does not linger.
    with suppress(subprocess.TimeoutExpired):
        with suppress(OSError):
            process.stdin.close()
        process.wait(timeout=1)
    process.kill()
    process.stdout.close()
    return process.wait()


_renderer = _Renderer()
