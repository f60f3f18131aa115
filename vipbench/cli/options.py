"""Commands whose options are the fields of a record: `RunSettings`, `BenchSettings`.

A record takes time to import, so a command reads it when it is used, not when `vipbench --help`
lists it.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args, get_origin

import typer
import typer.main
from typer.core import TyperCommand

from vipbench.cli.commands import Command, origins, used_variables
from vipbench.cli.complete import BY_OPTION
from vipbench.errors import RunError, VipbenchError
from vipbench.option import INCLUDE, Option, Options

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from vipbench.schema import Record

Include = Annotated[
    list[Path] | None,
    typer.Option("--include", metavar=INCLUDE.metavar, help=INCLUDE.help, show_default=False),
]
Log = Annotated[
    list[str] | None,
    typer.Option(
        "--log",
        metavar="TRACKER",
        help="Tell wandb or tensorboard (vipbench[wandb], [tensorboard]) too; repeatable, or with "
        "commas.",
        show_default=False,
    ),
]
LARGEST_SQUARE = 4096
"""px; no model's square is near it, and larger sheets fill the memory."""


class RawValues(dict[str, Any]):
    """Name of an option -> text, number, path or list of them, as typed; None: it was not."""

    origins: Mapping[str, str] = {}
    """Name -> variable or key of a job file that the value came from, instead of being typed."""
    variables: Mapping[str, str] = {}
    """The variables that were used, and their values."""
    places: Mapping[str, str] = {}
    """Key of a field, such as `endpoint.timeout` -> origin, else what the user types."""


def side_option(words: str, unset: str) -> Any:
    """Ask for the side in px of a square that a model sees, or of its patches."""
    return typer.Option(metavar="N", min=1, max=LARGEST_SQUARE, help=words, show_default=unset)


def listed(option: str, values: Sequence[str] | None) -> tuple[str, ...]:
    """Split a repeatable option at commas; each value once. RunError where none is left."""
    parts = (part.strip() for value in values or () for part in value.split(","))
    names = tuple(dict.fromkeys(part for part in parts if part))
    if values and not names:
        raise RunError(f"{option} {' '.join(values)!r}: names nothing · expected one or more names")
    return names


def run_settings() -> "type[Record]":
    """Return the record of a run, which most commands take some options from."""
    from vipbench.run.settings import RunSettings

    return RunSettings


class FieldOption(NamedTuple):
    """One option of a command, and where its value goes."""

    path: tuple[str, ...]
    """The field's name; behind that of another field, if it asks for a part of it."""
    field: "FieldInfo"
    words: Option
    typed: str | None = None
    """What stands for it where nothing is typed; None: the field's default."""

    @property
    def name(self) -> str:
        """What it is called in `RawValues`."""
        return "_".join(self.path)

    @property
    def flags(self) -> tuple[str, ...]:
        """What the user types; the last one is the long one."""
        return self.words.flags or (f"--{self.name.replace('_', '-')}",)

    @property
    def is_list(self) -> bool:
        """Whether it is repeatable."""
        kind = self.field.annotation
        return get_origin(kind) is dict or (get_origin(kind) is tuple and ... in get_args(kind))

    def value(self, raw: Any) -> Any:
        """Return the field's value; VipbenchError where a text cannot be read."""
        if raw is None:
            return self.field.default
        if self.words.parse is not None:
            return self.words.parse(raw)
        if self.is_list and not _holds_paths(self.field.annotation):
            return listed(self.flags[-1], raw)
        return raw


def field_options(
    record: "type[Record]", fields: Sequence[str] = (), path: tuple[str, ...] = ()
) -> Iterator[FieldOption]:
    """Yield the options of some fields, or of all that have any."""
    for name in fields or record.model_fields:
        field = record.model_fields[name]
        for option in field.metadata:
            if isinstance(option, Option):
                yield FieldOption((*path, name), field, option)
            elif isinstance(option, Options):
                yield from field_options(option.record, path=(*path, name))


def read_fields(record: "type[Record]", raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that a command has asked for; VipbenchError where a text cannot be read.

    The options of another record are a mapping, under the name of the field.
    """
    fields: dict[str, Any] = {}
    for option in field_options(record):
        if option.name in raw:
            *above, name = option.path
            group = fields.setdefault(above[0], {}) if above else fields
            group[name] = _value(option, raw)
    return fields


def _value(option: FieldOption, raw: Mapping[str, Any]) -> Any:
    """Return a field's value; VipbenchError says where a text that cannot be read was written."""
    try:
        return option.value(raw[option.name])
    except VipbenchError as error:
        origin = getattr(raw, "origins", {}).get(option.name)
        flag = option.flags[-1]
        if origin is None or not str(error).startswith(flag):
            raise
        raise type(error)(f"{origin} ({flag}){str(error).removeprefix(flag)}") from error


def typed_words(options: Iterable[FieldOption], raw: RawValues) -> tuple[str, ...]:
    """Return the words that give some options again, as they were typed; defaults are left out."""
    words: list[str] = []
    for option in options:
        value, flag = raw.get(option.name), option.flags[-1]
        default = option.field.default
        # Where a text is read, the default has become one.
        if value is None or (not option.is_list and value in (default, str(default))):
            continue
        if isinstance(value, bool):
            words += [flag] if value else []
        else:
            for each in value if isinstance(value, list) else [value]:
                words += [flag, str(each)]
    return tuple(words)


def record_command(
    app: typer.Typer,
    name: str,
    record: "Callable[[], type[Record]]" = run_settings,
    fields: Sequence[str] = (),
    *,
    words: Mapping[str, Option] | None = None,
    typed: Mapping[str, str] | None = None,
    before: Mapping[str, str] | None = None,
    headings: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a command to an application that takes options from a record and some of its own.

    Its function is called with what was typed for the record, and with its own parameters.

    Args:
        app: gets the command.
        name: of the command.
        record: returns the record.
        fields: those that the command asks for, in the order of its help; empty: all.
        words: what the command says of a field in place of what the record says.
        typed: field -> what the command takes where nothing is typed, in place of its default.
        before: own parameter -> field in front of which its help stands; the others come last.
        headings: field, or own parameter -> heading below which help lists it.
    """

    def add(function: Callable[..., None]) -> Callable[..., None]:
        class LazyCommand(TyperCommand):
            """Is listed by name and docstring; gets its options when it is used."""

            def make_context(
                self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
            ) -> Any:
                alone = typer.Typer(rich_markup_mode=None, add_completion=False)
                options = [
                    _worded(option, words or {}, typed or {})
                    for option in field_options(record(), fields)
                ]
                groups = dict(headings or {})
                for option in options:
                    if group := option.words.group or groups.get(option.path[0]):
                        groups[option.name] = group
                kind = _grouped(groups)
                said = RawValues()
                alone.command(name, cls=kind)(_with_options(function, options, before or {}, said))
                command = typer.main.get_command(alone)
                context = command.make_context(info_name, args, parent, **extra)
                said.origins, said.variables = origins(context), used_variables(context)
                said.places = {
                    ".".join(option.path): said.origins.get(option.name, option.flags[-1])
                    for option in options
                }
                return context

        app.command(name, cls=LazyCommand, help=function.__doc__)(lambda: None)
        return function

    return add


def _grouped(groups: Mapping[str, str]) -> type[Command]:
    """Return a command whose help lists some options, by the parameter's name, below a heading."""

    class Grouped(Command):
        def format_options(self, ctx: Any, formatter: Any) -> None:
            by_heading: dict[str, list[tuple[str, str]]] = {}
            for parameter in self.get_params(ctx):
                if (record := parameter.get_help_record(ctx)) is not None:
                    heading = groups.get(parameter.name or "", "Options")
                    by_heading.setdefault(heading, []).append(record)
            for heading, records in by_heading.items():
                with formatter.section(heading):
                    formatter.write_dl(records)

    return Grouped


def _worded(
    option: FieldOption, words: Mapping[str, Option], typed: Mapping[str, str]
) -> FieldOption:
    name = option.name
    return option._replace(words=words.get(name, option.words), typed=typed.get(name))


def _with_options(
    function: Callable[..., None],
    options: Sequence[FieldOption],
    before: Mapping[str, str],
    said: RawValues,
) -> Callable[..., None]:
    """Return a function with options in place of its first parameter, which gets what was typed.

    That is put into `said`.
    """
    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    parameters = [_parameter(option) for option in options]
    for parameter in own:
        parameter = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        names = [other.name for other in parameters]
        neighbour = before.get(parameter.name)
        parameters.insert(names.index(neighbour) if neighbour else len(names), parameter)

    def call(**values: Any) -> None:
        said.update({option.name: values.pop(option.name) for option in options})
        function(said, **values)

    call.__doc__ = function.__doc__
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


def _parameter(option: FieldOption) -> inspect.Parameter:
    """Return a parameter for Typer: the field's type, range and default, the option's help."""
    field, words = option.field, option.words
    kind: Any = field.annotation
    if option.is_list:
        kind = list[Path] if _holds_paths(kind) else list[str]
    elif words.parse is not None:
        kind = str
    default = None if option.is_list else field.default
    default = option.typed or default
    if default is None:
        kind = kind | None
    least = [item.ge for item in field.metadata if hasattr(item, "ge")]
    most = [item.le for item in field.metadata if hasattr(item, "le")]
    info = typer.Option(
        *option.flags,
        metavar=words.metavar,
        help=words.help,
        show_default=words.unset or default is not None,
        min=min(least, default=None),
        max=max(most, default=None),
        autocompletion=BY_OPTION.get(option.name),
    )
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, info],
    )


def _holds_paths(kind: Any) -> bool:
    return Path in get_args(kind)
