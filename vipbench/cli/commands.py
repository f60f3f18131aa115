"""What all commands have beside their own: variables for options, words for mistakes, whole help.

An option's value is that of the command line, else that of its variable, else that of a job file,
else its default. The parser behind Typer knows that order; here it is told the names.
"""

import os
import re
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from vipbench.cli.printing import put, say
from vipbench.errors import VipbenchError, alternatives, closest_choice, details, expected, nearest

UsageError: Any = typer.BadParameter.__bases__[0]
"""The parser's: an option that there is not, one value too many. It knows usage and help."""
JOB = "job file"
"""How `ctx.meta` names where options of a job file were written: name -> `job.yaml:3`."""
_NOT_ASKED = (
    *("help", "version", "install_completion", "show_completion", "show_config", "job"),
    *("push", "yes"),  # what is sent is asked for where it is sent
)
"""Parameters without a variable, and without a key in a job file."""
SECRET = ("headers", "extra_body")
"""Ends of the names of options whose values may hold a key; they are not shown."""


class Command(TyperCommand):
    """A command each of whose options may come from an environment variable."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Read what was typed, and say which variables are used."""
        name_variables(self, f"{parent.command_path if parent else ''} {info_name or ''}")
        context = super().make_context(info_name, args, parent, **extra)
        if not context.resilient_parsing:
            tell_variables(context)
        return context


class Group(TyperGroup):
    """Commands, listed by what they are for, each with all of its summary."""

    headings: Mapping[str, str] = {}
    """Name of a command -> heading; those without one stand below `Commands`, at the end."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the lists."""
        by_heading: dict[str, list[tuple[str, str]]] = {}
        for heading in self.headings.values():
            by_heading.setdefault(heading, [])
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                heading = self.headings.get(name, "Commands")
                by_heading.setdefault(heading, []).append((name, _summary(command)))
        for heading, rows in by_heading.items():
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


def _summary(command: Any) -> str:
    """Return the first paragraph of a command's help, whole."""
    first: str = (command.help or "").strip().split("\n\n")[0]
    return " ".join(first.split())


class App(typer.Typer):
    """An application of such commands."""

    def __init__(self, *, cls: type[Group] = Group, **options: Any) -> None:
        """Take what Typer takes; help is plain text."""
        super().__init__(cls=cls, rich_markup_mode=None, **options)

    def command(
        self, name: str | None = None, *, cls: type[TyperCommand] | None = None, **options: Any
    ) -> Callable[[Any], Any]:
        """Add a command."""
        return super().command(name, cls=cls or Command, **options)


# --- environment variables


def is_asked(parameter: Any) -> bool:
    """Whether a parameter is an option that a variable or a job file may give."""
    return parameter.param_type_name == "option" and parameter.name not in _NOT_ASKED


def long_name(parameter: Any) -> str:
    """Return the long name of an option, such as `--judge-url`; an argument's as help shows it."""
    if parameter.param_type_name != "option":
        return str(parameter.metavar or parameter.name).strip("[]").upper()
    flags = [flag for flag in parameter.opts if flag.startswith("--")]
    return str(flags[-1] if flags else parameter.opts[0])


def variable_of(command: str, parameter: Any) -> str:
    """Name the variable of an option: `vipbench data fetch`, `--part` -> VIPBENCH_DATA_FETCH_PART.

    `command` is what is typed in front of the options.
    """
    words = [*command.split(), long_name(parameter).lstrip("-")]
    return "_".join(words).replace("-", "_").upper()


def name_variables(command: Any, path: str) -> None:
    """Give each option of a command its variable; help says the rule once, not for each."""
    options = [parameter for parameter in command.params if is_asked(parameter)]
    for option in options:
        option.split_envvar_value = partial(_split, option)
        option.envvar = variable_of(path, option)
        option.show_envvar = False
    if options:
        example = long_name(options[0])
        command.epilog = (
            f"Each option may be a variable: {options[0].envvar} for {example}. The command line"
            " goes before it."
        )


def _split(option: Any, text: str) -> list[str]:
    """Split the values of a repeatable option as a shell does."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise VipbenchError(
            f"{option.envvar} {text!r}: a quotation mark has no end · expected values between "
            "blanks, quoted as in a shell"
        ) from error


def used_variables(context: Any) -> dict[str, str]:
    """Return the variables that options of a command were taken from, and their values.

    The value of one that may hold a key is empty.
    """
    used = {}
    for parameter in context.command.params:
        if _source(context, parameter) == "ENVIRONMENT":
            value = str(parameter.resolve_envvar_value(context))
            is_secret = str(parameter.name).endswith(SECRET)
            used[str(parameter.envvar)] = "" if is_secret else without_password(value)
    return used


def without_password(text: str) -> str:
    """Leave out of an address what is before its host, and values of its query that are keys."""
    if "://" not in text:
        return text
    text = re.sub(r"(?<=://)[^/@\s]*@", "", text)
    return re.sub(r"(?i)([?&][^=&]*(?:key|token|secret|sig|password)[^=&]*)=[^&\s]*", r"\1=", text)


def tell_variables(context: Any) -> None:
    """Say which options came from variables, and which variables are none of an option."""
    prefix = f"{context.command_path} ".replace(" ", "_").replace("-", "_").upper()
    known = {str(each.envvar) for each in context.command.params if is_asked(each)}
    for name in sorted(os.environ):
        if name.startswith(prefix) and name not in known:
            hint = nearest(name, known) if "did you" in nearest(name, known) else ""
            say(f"{name}: no option of `{context.command_path}`; it is not used{hint}")
    for parameter in context.command.params:
        if _source(context, parameter) == "ENVIRONMENT":
            value = used_variables(context)[parameter.envvar]
            equals = f"={value}" if value else " (its value is not shown)"
            say(f"{parameter.envvar}{equals}: taken for {long_name(parameter)}")


def _source(context: Any, parameter: Any) -> str:
    source = context.get_parameter_source(parameter.name)
    return "" if source is None else str(source.name)


def origins(context: Any) -> dict[str, str]:
    """Say of each option where its value came from, where that is not the command line."""
    found = {}
    for parameter in context.command.params:
        if _source(context, parameter) in ("ENVIRONMENT", "DEFAULT_MAP"):
            found[str(parameter.name)] = _origin(context, parameter)
    return found


def _origin(context: Any, parameter: Any) -> str:
    """Name where the value of an option or an argument was written."""
    source = _source(context, parameter)
    if source == "ENVIRONMENT":
        return str(parameter.envvar)
    if source == "DEFAULT_MAP" and JOB in context.meta:
        return f"{context.meta[JOB][parameter.name]}: {str(long_name(parameter)).lstrip('-')}"
    return long_name(parameter)


# --- mistakes


def run_app(app: typer.Typer) -> int:
    """Run the command line, and return its exit code.

    VipbenchError where a value cannot be one; other mistakes of usage are shown with the usage.
    """
    try:
        code = app(prog_name="vipbench", standalone_mode=False)
    except typer.BadParameter as error:
        if message := wrong_value(error):
            raise VipbenchError(message) from error
        return _show(error)
    except UsageError as error:
        return _show(error)
    except typer.Abort:
        put("Aborted!")
        return 1
    return code if isinstance(code, int) else 0


def _show(error: Any) -> int:
    error.show()
    return int(error.exit_code)


def wrong_value(error: Any) -> str:
    """Say in our words which value is none of an option; empty where it is something else."""
    cause, parameter = error.__cause__, error.param
    if parameter is None or not hasattr(cause, "errors"):
        return ""
    first = details(cause)[0]
    phrase = wanted(parameter) or expected(first["type"], first.get("ctx", {}))
    where = long_name(parameter) if error.ctx is None else _origin(error.ctx, parameter)
    value = first["input"]
    hint = closest_choice(value, phrase)
    told = alternatives([phrase]).removeprefix(" · ") or "is not one that it takes"
    return f"{where} {value!r}: {told}{hint}"


def wanted(parameter: Any) -> str:
    """Say what values an option takes: its choices, or numbers in its range; empty: other ones."""
    described = getattr(parameter, "type_descriptor", None)
    if described is None:
        return ""
    if described.choices:
        *first, last = [f"'{choice}'" for choice in described.choices]
        return f"{', '.join(first)} or {last}" if first else last
    kinds = {int: "a whole number", float: "a number", bool: "true or false"}
    phrase = kinds.get(described.annotation, "")
    low, high = described.parameter_info.min, described.parameter_info.max
    if phrase and low is not None:
        phrase += f" from {low:g}"
    if phrase and high is not None:
        phrase += f" {'to' if low is not None else 'up to'} {high:g}"
    return phrase
