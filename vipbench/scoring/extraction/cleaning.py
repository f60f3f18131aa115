"""A model's text without what is not part of its answer: reasoning, special tokens, markup."""

import re
import unicodedata
from functools import lru_cache

from vipbench.scoring.extraction.reasoning import spoken

LONGEST = 20_000
"""Characters that are read. Of a longer text its start and its end, where an answer stands."""
_START = 4_000
REMEMBERED = 256
"""Texts: one is read by several metrics, and short answers repeat."""

_SPECIAL_TOKEN = re.compile(
    r"<\|[^|<>\n]{0,60}\|>|</?s>|\[/?INST\]"
    r"|<(?:pad|unk|eos|bos|image|im_end|start_of_turn|end_of_turn|end_of_utterance)>",
    re.IGNORECASE,
)
_ANSWER_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_BOX = re.compile(r"\\(?:boxed|fbox) ?\{")
_TEX_FONT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|rm) ?\{([^{}\n]{0,200})\}")
_HTML = re.compile(r"</?(?:b|i|u|p|em|strong|span|div)>|<br ?/?>", re.IGNORECASE)
_MARKDOWN = re.compile(r"\*|__|`|\$|~~")
_BULLET = re.compile(r"^[ \t]*[#>\-\u2022\u25cf]+[ \t]*", re.MULTILINE)
_EAST_ASIAN = "[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
"""A sign of Chinese, Japanese or Korean, which are written without a space before a letter."""
_LETTER = r"[A-Z](?![A-Za-z0-9_'])"
_UNSPACED = re.compile(
    rf"(?<={_EAST_ASIAN})(?={_LETTER})|(?<=(?<![A-Za-z0-9_'])[A-Z])(?={_EAST_ASIAN})"
)
_SPACES = re.compile(r"[^\S\n]+")
_QUOTES = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u200b": None}
)


@lru_cache(maxsize=REMEMBERED)
def clean(text: str) -> str:
    r"""Return what a text says to its reader, in plain signs; empty where it only reasons.

    Full-width letters, circled letters and the like are plain ones (NFKC). Of several `<answer>`
    tags the last counts; what is boxed (`\boxed{B}`) is said to be the answer. Linear in the
    length of the text.
    """
    text = " ".join(spoken(text) or ())
    text = _shortened(unicodedata.normalize("NFKC", _shortened(text))).translate(_QUOTES)
    text = _SPECIAL_TOKEN.sub(" ", text)
    text = _tagged(text)
    text = _TEX_FONT.sub(r"\1", text)
    text = _unboxed(text)
    text = _UNSPACED.sub(" ", _MARKDOWN.sub("", _HTML.sub(" ", text)))
    return _SPACES.sub(" ", _BULLET.sub("", text)).strip()


def _shortened(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:_START]}\n{text[_START - LONGEST :]}"


def _tagged(text: str) -> str:
    """Return what stands in the last `<answer>`, whether or not it is closed; else all."""
    start = None
    found = None
    for tag in _ANSWER_TAG.finditer(text):
        if not tag[1]:
            start = tag.end()
            found = text[start:]
        elif start is not None:
            found = text[start : tag.start()]
            start = None
    return text if found is None or not found.strip() else found


def _unboxed(text: str) -> str:
    """Write each box as a line that says that its content is the answer."""
    parts: list[str] = []
    place = 0
    for box in _BOX.finditer(text):
        if box.start() < place:
            continue  # inside the last one
        end = _closing(text, box.end())
        if end is None:
            break
        inner = text[box.end() : end].strip()
        parts += [text[place : box.start()], f"\nThe answer is: {inner}\n"]
        place = end + 1
    return "".join((*parts, text[place:]))


def _closing(text: str, start: int) -> int | None:
    """Return the place of the brace that closes the one before `start`."""
    depth = 1
    for place in range(start, min(len(text), start + 400)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    return None
