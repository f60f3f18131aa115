"""The texts of a choice's options, as they stand in the text that the model was sent."""

import re
from functools import lru_cache

from vipbench.schema import Request


def option_texts(request: Request) -> dict[str, str]:
    """Return letter -> text of a request's options; empty where the text does not list them.

    The last list counts: an earlier turn, or an earlier list, holds options of another question.
    Found in the text, since that is what the model read, and what old run folders hold too.
    """
    letters = request.options
    if not letters:
        return {}
    found = _last_list(letters, request.turns[-1])
    return dict(zip(letters, found or [""] * len(letters), strict=True))


def _last_list(letters: tuple[str, ...], text: str) -> list[str] | None:
    """Return what stands behind each letter in the last lines that begin with all of them."""
    starts = list(_label(letters[0]).finditer(text))
    for start in reversed(starts):
        texts: list[str] = []
        end = start.end()
        for letter in letters[1:]:
            label = _label(letter).search(text, end)
            if label is None:
                break
            texts.append(text[end : label.start()].strip())
            end = label.end()
        else:
            return [*texts, text[end:].split("\n", 1)[0].strip()]
    return None


@lru_cache
def _label(letter: str) -> re.Pattern[str]:
    """Return the pattern of `A. `, `A) ` or `(A) ` where a line begins."""
    escaped = re.escape(letter)
    return re.compile(rf"^[ \t]*(?:{escaped}[.):]|\({escaped}\))[ \t]+", re.MULTILINE)
