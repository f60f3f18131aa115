"""What one checkpoint lends to another that lacks it: `--base`.

A trainer's `checkpoint-500` often holds weights and config alone. What it lacks of tokenizer,
processor, chat template and `vipbench.json` is taken from a base; a file of its own wins. The two
are put together in a folder of links, so that all that reads a checkpoint reads one folder, and
digests are those of a checkpoint into which the files were copied.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from vipbench import files
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.download import find_folder
from vipbench.runners.checkpoints.files import read_json
from vipbench.runners.checkpoints.parts import MIXED, TEMPLATE, TOKENIZER
from vipbench.runners.checkpoints.tokenizer_files import PROCESSOR, VOCABULARIES

HINTS = "vipbench.json"
TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json")
_VIDEO = "video_preprocessor_config.json"
"""Of processors that take videos too; they cannot be loaded without it."""


class Lent(NamedTuple):
    """A checkpoint with what a base lends to it."""

    folder: Path
    """Holds both; the checkpoint's own where nothing was lent."""
    base: str
    """Name of the base."""
    parts: tuple[str, ...]
    """What was lent, in words."""

    def says(self, part: str) -> str:
        """Say that a part is the base's, where it is: to put behind its name."""
        return f" of {self.base}, by --base" if part in self.parts else ""


class _Links(NamedTuple):
    """Of a folder that was put together: where the files are, by their names there."""

    folder: Path
    """The checkpoint's own."""
    lent: dict[str, Path]


_made: dict[tuple[tuple[str, str], ...], tempfile.TemporaryDirectory[str]] = {}
"""Content -> the folder that holds it, until this process ends."""
_links: dict[Path, _Links] = {}


def lend(folder: Path, base: str) -> Lent:
    """Put a checkpoint's folder together with what it lacks and a base has.

    Args:
        folder: has the weights and the config.
        base: folder or hub id, of which only the small files are looked at.

    Raises:
        RunnerError: there is no such base.
    """
    source, name = find_folder(base, "--base")
    own = {entry.name: entry for entry in folder.iterdir()}
    lent, parts = _lacking(folder, source)
    written = _template_to_write(folder, source, lent)
    if written:
        parts = (*parts, "chat template")
    if not lent and not written:
        return Lent(folder, name, ())
    stripped = [name for name in lent if name in MIXED and has_template(folder)]
    content = {**lent, **own}
    links = sorted((name, str(path.resolve())) for name, path in content.items())
    key = (*links, ("template", written or ""), ("stripped", ",".join(stripped)))
    if key not in _made:
        _made[key] = tempfile.TemporaryDirectory(prefix="vipbench-base-")
    together = Path(_made[key].name) / folder.resolve().name
    if not together.is_dir():
        together.mkdir()
        for entry, path in content.items():
            (together / entry).symlink_to(path.resolve())
        if written:
            files.write_text(together / TEMPLATE_FILES[0], [written])
    for entry in stripped:  # the checkpoint's own template wins
        kept = {key: value for key, value in read_json(lent[entry]).items() if key != TEMPLATE}
        (together / entry).unlink()
        files.write_json(together / entry, kept)
    _links[together] = _Links(folder, lent)
    return Lent(together, name, parts)


def _lacking(folder: Path, base: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Find the files of a base that a folder lacks, and what they are in words.

    Those of a part go together: a vocabulary of one and the merges of another are no tokenizer.
    """
    groups: tuple[tuple[str, tuple[str, ...], bool], ...] = (
        ("chat template", TEMPLATE_FILES, has_template(folder)),
        ("tokenizer", TOKENIZER, _has(folder, VOCABULARIES)),
        ("processor", (*PROCESSOR, _VIDEO), _has(folder, PROCESSOR)),
        (HINTS, (HINTS,), (folder / HINTS).is_file()),
    )
    lent: dict[str, Path] = {}
    parts: list[str] = []
    for part, names, is_there in groups:
        present = {name: base / name for name in names if (base / name).is_file()}
        present = (
            {} if is_there else {n: p for n, p in present.items() if not (folder / n).exists()}
        )
        lent |= present
        parts += [part] if present else []
    return lent, tuple(parts)


def _has(folder: Path, names: tuple[str, ...]) -> bool:
    return any((folder / name).is_file() for name in names)


def has_template(folder: Path) -> bool:
    """Whether a folder brings a chat template, in any of the files that may hold one."""
    return _has(folder, TEMPLATE_FILES) or any(
        read_json(folder / name).get(TEMPLATE) for name in MIXED if (folder / name).is_file()
    )


def _template_to_write(folder: Path, base: Path, lent: dict[str, Path]) -> str | None:
    """Return the template of a base where the file that holds it is not lent."""
    if has_template(folder) or _has(base, TEMPLATE_FILES):
        return None
    for name in reversed(MIXED):  # the processor's before the tokenizer's
        path = base / name
        template = read_json(path).get(TEMPLATE) if path.is_file() else None
        if template:
            return template if isinstance(template, str) and name not in lent else None
    return None


@contextmanager
def own_names() -> Iterator[None]:
    """Name in a RunnerError the files themselves, and not the links to them."""
    try:
        yield
    except RunnerError as error:
        text = str(error)
        for together, links in _links.items():
            for name, path in links.lent.items():
                text = text.replace(str(together / name), str(path))
            text = text.replace(str(together), str(links.folder))
        if text == str(error):
            raise
        raise RunnerError(text) from error.__cause__
