"""Nothing of the machine: paths, its name and its user's are taken out of what is packed.

What a model has answered is left as it is; whatever is in it, it is the answer.
"""

import getpass
import os
import re
import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vipbench.errors import RunError
from vipbench.files import ABSOLUTE

PATH = "<path>"
HOST = "<host>"
USER = "<user>"
ANSWERED = frozenset({"text", "reasoning", "answer", "text_reference"})
"""Keys of what a model has written."""
SHORTEST = 4
"""Letters of a path that is looked for as it is: `/` and `/a` are in many texts."""


class Scrubber(NamedTuple):
    """What is taken out."""

    paths: tuple[str, ...]
    """The longest first."""
    names: tuple[tuple[str, str], ...]
    """Host and user, and what stands in their place."""

    @classmethod
    def of_machine(cls, paths: Iterable[Path] = ()) -> "Scrubber":
        """Know this machine: its folders, its name and its user's, and further paths."""
        known = [Path.cwd(), Path.home(), *paths]
        forms = {form for path in known for form in _forms(path) if len(form) >= SHORTEST}
        hosts = {socket.gethostname(), socket.gethostname().partition(".")[0]}
        names = [*((host, HOST) for host in hosts), *((user, USER) for user in _users())]
        return cls(
            tuple(sorted(forms, key=len, reverse=True)),
            tuple(sorted((pair for pair in names if pair[0]), key=lambda pair: -len(pair[0]))),
        )

    def text(self, text: str) -> str:
        """Return a text without paths of the machine, its name and its user's."""
        text = self.path(text)
        for name, shown in self.names:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", shown, text)
        return text

    def path(self, text: str) -> str:
        """Return a text without paths from the root or the home folder."""
        for path in self.paths:
            text = text.replace(path, PATH)
        return ABSOLUTE.sub(PATH, text)

    def plain(self, value: Any, keep: Sequence[str] = ()) -> Any:
        """Return plain data whose texts hold no path; what a model wrote stays, and keys `keep`."""
        if isinstance(value, dict):
            return {
                name: child if name in ANSWERED or name in keep else self.plain(child, keep)
                for name, child in value.items()
            }
        if isinstance(value, list):
            return [self.plain(child, keep) for child in value]
        return self.path(value) if isinstance(value, str) else value

    def check(self, member: str, value: Any) -> None:
        """Refuse to pack data in which a path of the machine is left; RunError names the key."""
        for key, text in _texts(value):
            found = next((path for path in self.paths if path in text), None)
            if found is not None:
                raise RunError(
                    f"{member}: {key} holds a path of this machine, {found} · expected names "
                    "without paths · rename what it is about, such as ids or the model"
                )


def _forms(path: Path) -> Iterator[str]:
    """Yield how a path may be written."""
    absolute = path.expanduser().absolute()
    for form in (absolute, absolute.resolve()):
        yield str(form)
        yield form.as_posix()


def _users() -> set[str]:
    try:
        login = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container whose user has no name
        login = ""
    return {login, os.environ.get("USER", ""), Path.home().name} - {""}


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the keys and texts of plain data, but for what a model wrote."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield f"{key}.{name}".lstrip("."), str(name)
            if name not in ANSWERED:
                yield from _texts(child, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child, key)
    elif isinstance(value, str):
        yield key, value
