"""Renders chat templates in a process of its own, where neither time nor memory runs away.

A chat template is a program from a stranger. This process is a plain interpreter with jinja2: it
reads a question a line from stdin, writes an answer a line to stdout, and ends with its parent. The
environment is that of transformers (`utils/chat_template_utils.py`, `_compile_jinja_template`),
except that nothing in it is other on another day or in another process.
"""

import contextlib
import datetime
import faulthandler
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes, utils
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vipbench.runners.templates import TEMPLATE_DATE

MEMORY_MIB = 512
"""Memory of the process, where the system can limit it."""
MOST_CHARS = 1_000_000
"""Characters that a template may write beside the conversation; no model reads as much."""
_NOW = datetime.datetime.fromisoformat(TEMPLATE_DATE)
_SHOWN = 200
"""Characters of an error that are passed on."""
_FAULTS = (
    TemplateError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What templates raise; anything else ends the process, which its parent tells."""


class _Generation(Extension):
    """The tag `generation`, which marks what an assistant says, and writes it as it is."""

    tags = {"generation"}  # noqa: RUF012 (jinja2's own)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_write"), [], [], body).set_lineno(line)

    def _write(self, caller: Callable[[], str]) -> str:
        return caller()


class _Namespace(utils.Namespace):
    """jinja2's, without names that could lead into the interpreter."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # so that `namespace(self=...)` works
        values = dict(*args[1:], **kwargs)
        for name in values:
            _check_name(name)
        utils.Namespace.__init__(args[0], values)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace has no name {name!r}")


def _raise_exception(message: object) -> NoReturn:
    raise TemplateError(f"it refuses the conversation: {message}")


def _random(*args: object, **kwargs: object) -> NoReturn:
    raise TemplateError("it draws at random, and a prompt must always be the same")


def _strftime_now(pattern: str) -> str:
    return _NOW.strftime(pattern)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


@lru_cache(maxsize=16)
def _compile(template: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, LoopControlExtension]
    )
    environment.filters.update(tojson=_tojson, random=_random)
    environment.globals.update(
        raise_exception=_raise_exception,
        strftime_now=_strftime_now,
        namespace=_Namespace,
        lipsum=_random,
    )
    return environment.from_string(template)


def render(template: str, variables: Mapping[str, Any], most_chars: int) -> dict[str, str]:
    """Render a template: `text`, or `error` in words; for use in this process only."""
    try:
        parts, length = [], 0
        for part in _compile(template).generate(**variables):
            parts.append(part)
            length += len(part)
            if length > most_chars:
                return {"error": f"writes more than {MOST_CHARS:,} characters"}
        text = "".join(parts)
        text.encode()  # half a character is an error here, and not in the tokenizer
    except _FAULTS as error:
        return {"error": _words(error)}
    return {"text": text}


def _words(error: BaseException) -> str:
    """Say in a line why a rendering failed, and in which line of the template."""
    if isinstance(error, MemoryError):
        return f"needs more than {MEMORY_MIB} MiB of memory"
    if isinstance(error, RecursionError):
        return "calls itself without end, or is nested too deeply"
    what = " ".join(str(error).split())[:_SHOWN] or type(error).__name__
    if not isinstance(error, TemplateError):
        what = f"{type(error).__name__}: {what}"
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == "<template>"]
    if isinstance(error, TemplateSyntaxError):
        lines.append(error.lineno)
    at = f"line {lines[-1]}: " if lines else ""
    return f"the template failed ({at}{what})"


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    n_bytes = MEMORY_MIB << 20
    for kind, limit in ((resource.RLIMIT_AS, n_bytes), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # a lower limit, or a system without it
            resource.setrlimit(kind, (limit, limit))


def serve() -> None:
    """Answer questions until stdin is closed; a question that takes too long ends the process."""
    _limit_memory()
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 (not a path of ours)
        for line in sys.stdin.buffer:
            question = json.loads(line)
            # A thread of C, which no loop of a template and no long multiplication can hold up.
            faulthandler.dump_traceback_later(question["seconds"], exit=True, file=nowhere)
            most = MOST_CHARS + len(line)
            answer = render(question["template"], question["variables"], most)
            faulthandler.cancel_dump_traceback_later()
            sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
            sys.stdout.buffer.flush()
