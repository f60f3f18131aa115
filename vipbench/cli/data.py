"""`vipbench data`: what benchmark data are here, fetch them, where they are."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli import complete
from vipbench.cli.app import app
from vipbench.cli.commands import App
from vipbench.cli.options import Include, listed
from vipbench.cli.printing import CONSOLE, print_columns, put, put_json, put_sentence, say
from vipbench.errors import DataError

if TYPE_CHECKING:
    from vipbench.data.fetching.sources import Source

data_app = App(help="Benchmark data: what is here, fetch it, where it lies.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Keys = Annotated[
    list[str],
    typer.Argument(
        metavar="KEY", help="Keys of data.", show_default=False, autocompletion=complete.data_key
    ),
]


@data_app.command("ls")
def data_ls(
    include: Include = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the parts of each set: size, licence, whether they are here, and where."""
    folders = tuple(include or ())
    if as_json:
        put_json(list(_entries(folders)), ensure_ascii=True)
        return
    print_columns(_rows(folders))


def _rows(include: Sequence[Path]) -> Iterator[Sequence[str]]:
    yield "key", "part", "size", "state", "folder", "licence"
    for entry in _entries(include):
        part = f"{entry['part']} (optional)" if entry["optional"] else f"{entry['part']}"
        columns = [entry[name] or "-" for name in ("key", "size_in_words", "state", "folder")]
        key, size, state, folder = map(str, columns)
        yield key, part, size, state, folder, f"{entry['licence']}"


def _entries(include: Sequence[Path]) -> Iterator[dict[str, str | int | bool | None]]:
    from vipbench.data.cache import fetched_folder
    from vipbench.data.fetching.lock import status
    from vipbench.data.fetching.sources import find_sources, load_source
    from vipbench.files import size_in_words

    for key in find_sources(include):
        source = load_source(key, include)
        folder = fetched_folder(key)
        for item in status(source, folder):
            absent = item.state in ("not fetched", "by hand")
            about = "" if item.exact or item.size is None else "about "
            yield {
                "key": key,
                "part": item.name,
                "title": item.part.title,
                "optional": item.part.optional,
                "size": item.size,
                "size_in_words": about + size_in_words(item.size) if item.size else None,
                "state": item.state,
                "folder": None if absent else str(folder),
                "licence": item.part.licence,
            }


@data_app.command("fetch")
def data_fetch(
    keys: Keys,
    part: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only this part; repeatable, or with commas.",
            show_default="all but the optional ones",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="DIR", help="Folder of the data.", show_default="in the cache"
        ),
    ] = None,
    accept_changed: Annotated[
        bool,
        typer.Option(
            "--accept-changed",
            help="Record what differs from the first fetch, instead of refusing it.",
        ),
    ] = False,
    keep_archives: Annotated[
        bool, typer.Option("--keep-archives", help="Keep archives after they are unpacked.")
    ] = False,
    include: Include = None,
) -> None:
    """Download what is missing of some sets and check what is here; a broken transfer resumes.

    Where a licence must be accepted by hand, the steps are printed instead, and the exit code is 2.
    """
    from vipbench.data.fetching.fetch import FetchSettings, fetch
    from vipbench.data.fetching.sources import load_source

    names, parts, folders = listed("KEY", keys), listed("--part", part), tuple(include or ())
    if len(names) > 1 and (out or parts):
        option = "-o" if out else "--part"
        raise DataError(
            f"{option} applies to one key only, not to {', '.join(names)} · fetch them separately"
        )
    sources = [load_source(name, folders) for name in names]
    settings = FetchSettings(accept_changed, keep_archives)
    by_hand: list[Source] = []
    for source in sources:
        if source.by_hand:
            by_hand.append(source)
            continue
        folder = fetch(source, out, parts, settings, CONSOLE)
        put(_option(source.key, folder))
    undone = [source.key for source in by_hand if not _print_steps(source, out)]
    if undone:
        raise DataError(
            f"{', '.join(undone)}: not fetched, since a licence must be accepted by hand · follow"
            " the steps above"
        )


def _print_steps(source: "Source", out: Path | None) -> bool:
    """Print what to do by hand, and return False; True where it has been done."""
    from vipbench.data.cache import fetched_folder
    from vipbench.data.fetching.lock import status
    from vipbench.data.fetching.sources import steps_by_hand

    folder = out or fetched_folder(source.key)
    if all(item.state == "in place" for item in status(source, folder) if not item.part.optional):
        put(_option(source.key, folder))
        return True
    put_sentence(f"{source.title}: the licence must be accepted by hand.")
    for number, step in enumerate(steps_by_hand(source, folder), 1):
        put_sentence(f"{number}. {step}", indent=len(f"{number}. "))
    return False


@data_app.command("locate")
def data_locate(keys: Keys, include: Include = None) -> None:
    """Print the --data option for what was fetched; runs take it from there without the option."""
    from vipbench.data.cache import fetched_folder
    from vipbench.data.fetching.lock import status
    from vipbench.data.fetching.sources import load_source

    for key in listed("KEY", keys):
        source = load_source(key, tuple(include or ()))
        folder = fetched_folder(key)
        states = {item.name: item.state for item in status(source, folder)}
        here = [name for name, state in states.items() if state not in ("not fetched", "by hand")]
        if not here:
            raise DataError(
                f"{key}: nothing is in {folder} · `vipbench data fetch {key}`, or give --data"
                f" {key}=DIR with the command that needs it"
            )
        put(_option(key, folder))
        for name, state in states.items():
            if state not in ("complete", "in place"):
                say(f"{key} {name}: {state}")


def _option(key: str, folder: Path) -> str:
    return f"--data {shlex.quote(f'{key}={folder.resolve()}')}"
