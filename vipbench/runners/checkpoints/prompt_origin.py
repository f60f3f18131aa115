"""Where the prompt format of a run comes from, and what of the checkpoint contradicts it."""

from collections.abc import Sequence
from typing import NamedTuple

from vipbench.console import one_line
from vipbench.runfolder.manifest import PROMPT_NOTE
from vipbench.runners.frames import OFFICIAL_FORMATS
from vipbench.schema import PromptFormat

ASKED = "--prompt-format"


class PromptOrigin(NamedTuple):
    """The prompt format that is taken, and who says so."""

    prompt_format: PromptFormat
    source: str
    """Such as `suite paper`; ASKED where the user says so."""

    @property
    def is_asked(self) -> bool:
        """Whether the user asks for it."""
        return self.source == ASKED


def for_checkpoint(
    suite_format: PromptFormat | None, own: PromptFormat | None
) -> PromptFormat | None:
    """Return a suite's format as it is for a checkpoint whose own format is `own`, if it has one.

    A suite that asks as the official scripts do means the conversation that goes with the language
    model, of which it names Vicuna's.
    """
    return own if {suite_format, own} <= OFFICIAL_FORMATS else suite_format


def find_origin(
    asked: PromptFormat | None,
    suite: tuple[str, PromptFormat | None],
    hint: tuple[str, PromptFormat | None],
    default: tuple[str, PromptFormat],
) -> PromptOrigin:
    """Find whose prompt format is taken: the user's, the suite's, the checkpoint's, the default.

    Each of the last three comes with the words for it. Of two formats of the official code the
    checkpoint's is taken; see `for_checkpoint`.
    """
    if suite[1] != for_checkpoint(suite[1], hint[1]):
        suite = (suite[0], None)
    named = ((ASKED, asked), (f"suite {suite[0]}", suite[1]), hint)
    for source, prompt_format in named:
        if prompt_format is not None:
            return PromptOrigin(prompt_format, source)
    return PromptOrigin(default[1], default[0])


def contradictions(
    origin: PromptOrigin,
    hint: tuple[str, PromptFormat | None],
    template: Sequence[str],
    tokenizer: Sequence[str],
) -> tuple[str, ...]:
    """Say what of the checkpoint contradicts a format that nobody asked for, and its own config.

    Args:
        origin: of the format that is taken.
        hint: the checkpoint's own, with the words for where it stands.
        template: what the chat template does otherwise; empty: nothing.
        tokenizer: what of the tokenizer does not go with the config; empty: nothing.
    """
    faults = []
    if not origin.is_asked:
        if hint[1] not in (None, origin.prompt_format):
            faults.append(f"{hint[0]} says {hint[1]}")
        faults += template
    notes = [f"{PROMPT_NOTE}{fault}" for fault in tokenizer]
    if faults:
        notes.append(
            f"{PROMPT_NOTE}format {origin.prompt_format} ({origin.source}) is taken, but "
            f"{', and '.join(faults)} · say which is meant by --prompt-format"
        )
    return tuple(map(one_line, notes))
