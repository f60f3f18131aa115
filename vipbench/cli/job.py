"""A run from a file: the options of a command as YAML, and the other way round."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vipbench.cli.commands import JOB, SECRET, is_asked, long_name, without_password
from vipbench.errors import RunError, nearest, shown

_HOLDS_KEY = re.compile(r"key|secret|password|auth|bearer|access.?token", re.IGNORECASE)
_FROM_ENVIRONMENT = "env:"
"""Before the name of a variable that holds the value of a header, as `--header` reads it."""
_OF_RUN = ("seeds", "dry_run", "log")
"""Options that `run` has and `plan` has not."""


def take_job(context: Any, _: Any, path: Path | None) -> Path | None:
    """Make a job file the defaults of a command; is the callback of its eager argument.

    Raises RunError for a file that cannot be read, an unknown key, and a value of another kind.
    """
    if path is not None and not context.resilient_parsing:
        context.default_map, context.meta[JOB] = read_job(path, context.command)
    return path


def take_planned_job(context: Any, parameter: Any, path: Path | None) -> Path | None:
    """Do the same for `plan`, which takes the job files of `run`."""
    if path is not None and not context.resilient_parsing:
        context.default_map, context.meta[JOB] = read_job(path, context.command, _OF_RUN)
    return path


def read_job(
    path: Path, command: Any, others: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the options of a command as texts, as they would be typed; RunError names the mistakes.

    Keys are the long names, with `_` or `-`. What is null, or an empty list, is not given.

    Args:
        path: of the file.
        command: that has the options.
        others: keys that mean something to another command, which the same file is for.

    Returns:
        Values, and where each was written, as `job.yaml:3`, by the names of parameters; of `others`
        only the latter.
    """
    from vipbench.validation import read_yaml

    content = read_yaml(path, RunError, "a mapping such as model: …")
    options = {key_of(option): option for option in command.params if is_asked(option)}
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    mistakes = []
    for key, value in content.items():
        name = key.replace("-", "_")
        where = f"{path}:{content.lines[key]}: "
        if name in options:
            places[options[name].name] = where.removesuffix(": ")
        if name in others:
            places |= {} if value is None else {name: where.removesuffix(": ")}
        elif name not in options:
            hint = nearest(name, options, f"vipbench {command.name} -h")
            mistakes.append(f"{where}unknown key {key!r}{hint}")
        elif options[name].name in values:
            mistakes.append(f"{where}key {key!r} is there twice, with _ and with -")
        elif value is not None and value != []:
            try:
                values[options[name].name] = _typed(options[name], value)
            except ValueError as error:
                mistakes.append(f"{where}{key} = {shown(value)} · {error}")
    if mistakes:
        raise RunError("; and ".join(mistakes))
    return values, places


def key_of(option: Any) -> str:
    """Return the key of an option in a job file: `--judge-url` is `judge_url`."""
    return long_name(option).lstrip("-").replace("-", "_")


def _typed(option: Any, value: Any) -> Any:
    """Return a value as it would be typed; ValueError says what was expected."""
    if option.is_flag:
        if not isinstance(value, bool):
            raise ValueError("expected true or false")
        return value
    if option.multiple:
        pairs = value.items() if isinstance(value, dict) else ()
        texts = [f"{name}={_text(each)}" for name, each in pairs]
        if isinstance(value, dict):
            return texts
        return [_text(each) for each in (value if isinstance(value, list) else [value])]
    if isinstance(value, list) and option.metavar == "LIST":
        return ",".join(map(_text, value))
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        raise ValueError("expected text or a number · put a word such as yes or off into quotes")
    if not isinstance(value, str | int | float):
        raise ValueError("expected text or a number")
    return str(value)


def config_text(context: Any) -> str:
    """Return all options of a command with their values as YAML that is a job file again.

    Keys are never in it: what may hold one is a comment.
    """
    import yaml

    lines = [
        f"# All options of `{context.command_path}`: `{context.command_path} FILE` runs with them.",
        "# Paths are relative to the working directory; null: not given.",
    ]
    for option in context.command.params:
        if not is_asked(option):
            continue
        value, hidden = _without_keys(option, _plain(context.params[option.name]))
        lines += [
            f"# {key_of(option)}: {what} is not shown, as it may hold a key" for what in hidden
        ]
        text = yaml.safe_dump({key_of(option): value}, allow_unicode=True, width=10_000).rstrip()
        unset = option.show_default if isinstance(option.show_default, str) else ""
        lines.append(f"{text}  # {unset}" if value is None and unset else text)
    return "\n".join(lines)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, str) and re.fullmatch("0|[1-9][0-9]{0,8}", value):
        return int(value)  # some options take a number or a word, and so a text
    return str(value) if isinstance(value, Path) else value


def _without_keys(option: Any, value: Any) -> tuple[Any, list[str]]:
    """Return a value without what may be a key, and what was left out."""
    if str(option.name).endswith("headers"):
        kept = [each for each in value if each.partition("=")[2].startswith(_FROM_ENVIRONMENT)]
        return kept, [each.partition("=")[0] for each in value if each not in kept]
    if str(option.name).endswith(SECRET) and value is not None and _HOLDS_KEY.search(value):
        return None, ["its value"]
    if isinstance(value, str) and without_password(value) != value:
        return without_password(value), ["a part of the address"]
    return value, []
