"""A model's text without its reasoning, and a whole text without what is around it."""

import re

_NAME = r"(?:seed:)?(?:think|thinking|thought|reasoning|analysis)"
# <think> (DeepSeek, Qwen), [THINK] (Magistral), ◁think▷ (Kimi).
_TAG = re.compile(rf"[<\[◁](/?){_NAME}[>\]▷]", re.IGNORECASE)
# The harmony format of gpt-oss names the channel before each message; the answer is `final`.
_FINAL_CHANNEL = re.compile(r"<\|channel\|>final(?:<\|constrain\|>\w+)?<\|message\|>")
_ANY_CHANNEL = "<|channel|>"
_FENCE = re.compile(r"```[\w-]*\s(.*?)```|~~~[\w-]*\s(.*?)~~~", re.DOTALL)
_AROUND = ("**", "__", "`", "*", "_", '"', "'", "$")
_INVISIBLE = re.compile("[\u200b-\u200d\u2060\ufeff]")


def spoken(text: str) -> tuple[str, ...] | None:
    """Return what stands outside of blocks of reasoning, in order; None: only reasoning is there.

    A block that does not end goes to the end of the text, which then says nothing. An end without a
    start ends one that the prompt had opened. Of channels, the last `final` one is spoken.
    """
    if _ANY_CHANNEL in text:
        finals = list(_FINAL_CHANNEL.finditer(text))
        if not finals:
            return None
        text = text[finals[-1].end() :].partition("<|")[0]
    kept: list[str] = []
    place, is_open = 0, False
    for tag in _TAG.finditer(text):
        if tag[1]:  # an end
            kept = kept if is_open else []
            place, is_open = tag.end(), False
        elif not is_open:
            kept.append(text[place : tag.start()])
            is_open = True
    return None if is_open else (*kept, text[place:])


def last_spoken(text: str) -> str | None:
    """Return what a text says behind all its reasoning, where it says nothing before.

    For replies that count as a whole: what stands before the reasoning may be another reply. None
    where there is such, or the reasoning does not end.
    """
    parts = spoken(text)
    if parts is None or (len(parts) > 1 and parts[0].strip()):
        return None
    return parts[-1]


def unwrapped(text: str) -> str:
    """Take off fences, emphasis, quotation marks and white space that are around all of a text."""
    text = _INVISIBLE.sub("", text).strip()
    while True:
        fenced = _FENCE.fullmatch(text)
        if fenced:
            inner = next(part for part in fenced.groups() if part is not None)
        else:
            mark = next((m for m in _AROUND if text.startswith(m) and text.endswith(m)), None)
            if mark is None or len(text) <= 2 * len(mark):
                return text
            inner = text[len(mark) : -len(mark)]
        text = inner.strip()
