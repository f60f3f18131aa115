"""Data sets on the Hugging Face hub: list files of one commit, and load them.

The library finds the address of the hub and the token by itself (`HF_ENDPOINT`, `HF_TOKEN`,
`HF_HUB_OFFLINE`); nothing here reads or prints them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub import errors as hub_errors
from huggingface_hub.hf_api import RepoFile

from vipbench.console import QUIET, Console, hub_bars
from vipbench.data.fetching.archives import is_safe_name
from vipbench.digests import file_digest
from vipbench.errors import DataError
from vipbench.files import unwritten

JUNK = ".DS_Store"
_HTTP_ERROR: type[BaseException] = hub_errors.HfHubHTTPError.__bases__[0]
"""What the library's HTTP client raises: httpx in its version 1, httpx2 in version 2."""


class Wanted(NamedTuple):
    """Files of a data set."""

    repo: str
    """`owner/name`."""
    revision: str
    """A commit."""
    patterns: tuple[str, ...]
    """Paths, in which `*` stands for anything, slashes included."""


class Listed(NamedTuple):
    """A file as the hub lists it."""

    path: str
    size: int
    """Bytes."""
    sha256: str | None
    """Known where it is stored by LFS."""


def list_files(wanted: Wanted) -> list[Listed]:
    """List what is wanted.

    Raises DataError where the hub is out of reach, refuses, lacks something that is wanted, or
    names a path that would leave a folder.
    """
    with _explained(wanted):
        entries = list(
            HfApi().list_repo_tree(
                wanted.repo, recursive=True, revision=wanted.revision, repo_type="dataset"
            )
        )
    listed = [
        Listed(entry.path, entry.size, entry.lfs.sha256 if entry.lfs else None)
        for entry in entries
        if isinstance(entry, RepoFile)
        and PurePosixPath(entry.path).name != JUNK
        and any(fnmatchcase(entry.path, pattern) for pattern in wanted.patterns)
    ]
    for pattern in wanted.patterns:
        if not any(fnmatchcase(file.path, pattern) for file in listed):
            raise DataError(
                f"{wanted.repo}: has no {pattern} at commit {wanted.revision}: the release has"
                " changed · fetch it by hand and give --data"
            )
    for file in listed:
        if not is_safe_name(file.path):
            raise DataError(f"{wanted.repo}: {file.path!r} would leave the folder · refused")
    return listed


def download_files(
    wanted: Wanted, listed: Sequence[Listed], folder: Path, *, console: Console = QUIET
) -> None:
    """Load what was listed to its paths below a folder; files that are whole there already stay.

    Raises DataError where a file does not arrive with the size and the digest that were listed.
    """
    total = sum(file.size for file in listed)
    with _explained(wanted), hub_bars(wanted.repo, console, total) as bars:
        snapshot_download(
            wanted.repo,
            repo_type="dataset",
            revision=wanted.revision,
            local_dir=folder,
            allow_patterns=list(wanted.patterns),
            ignore_patterns=[f"*{JUNK}"],
            **bars,
        )
    for file in listed:
        path = folder / file.path
        size = path.stat().st_size if path.is_file() else None
        if size != file.size or (file.sha256 and file_digest(path) != file.sha256):
            path.unlink(missing_ok=True)
            raise DataError(
                f"{wanted.repo}: {file.path} did not arrive as the hub lists it ({file.size:,}"
                f" bytes, sha256 {file.sha256 or 'not listed'}) · give the same command again"
            )


@contextmanager
def _explained(wanted: Wanted) -> Iterator[None]:
    """Say in one line what the library means, without its addresses, which may be signed."""
    advice = (
        "check the connection, HF_HUB_OFFLINE and HF_ENDPOINT, then give the same command again ·"
        " whole files that were loaded are kept"
    )
    try:
        yield
    except hub_errors.RepositoryNotFoundError as error:  # or a gated one
        raise DataError(
            f"{wanted.repo}: the hub has no such data set for you · look at its page, accept its"
            " terms there where it has any, and log in with `hf auth login`"
        ) from error
    except hub_errors.RevisionNotFoundError as error:
        raise DataError(
            f"{wanted.repo}: has no commit {wanted.revision}: the release has changed · fetch it by"
            " hand and give --data"
        ) from error
    except hub_errors.HfHubHTTPError as error:
        status = f"{error.response.status_code} {error.response.reason_phrase}".strip()
        raise DataError(f"{wanted.repo}: the hub says {status} · {advice}") from error
    except (
        _HTTP_ERROR,
        hub_errors.OfflineModeIsEnabled,
        hub_errors.EntryNotFoundError,
        hub_errors.XetDownloadError,
    ) as error:
        raise DataError(
            f"{wanted.repo}: the hub cannot be reached ({type(error).__name__}) · {advice}"
        ) from error
    except OSError as error:
        kept = "whole files that were loaded are kept"
        raise unwritten(Path(error.filename or "disk"), error, kept) from error
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{wanted.repo}: its files cannot be used ({reason}) · fetch it by hand and give --data"
        ) from error
