"""Placeholders of other formats: what stands for a region or an image in another data set or model.

vipbench replaces `<r0>` alone; `<obj>`, `[3]` and `<|box_start|>` go to the model as they are.
"""

import re

STEMS = (
    r"(?:objs?|objects?|ref|region|reg|roi|masks?|segm?|b?box(?:es)?|bounding[ _-]?box|points?|pt"
    r"|prompt|vp|img|images?|im|pic|picture|video|area|phrase|expr|loc|instance|entity|person)"
)
"""What stands for a region or an image in the formats of the field, before its number."""
_NUMBER = r"[ _:#.-]?\d+"
_HTML = (
    r"/?(?:a|b|i|u|p|q|em|strong|sub|sup|br|hr|span|div|code|pre|small|big|tt|font|center|li|ul|ol"
    r"|t[dhr]|table|h[1-6])\s?/?>"
)
"""Tags that lay out text: they mean nothing else to anybody."""
_OPEN, _CLOSE = "[<\uff1c\u27e8\u3008\u2039]", "[>\uff1e\u27e9\u3009\u203a]"
"""Angle brackets, also the full-width and the mathematical ones."""

_FORMS = (
    # <obj>, <Region 1>, <R0>, </box>, <image_1>, <|box_start|>, <s>; not "a < b", "<3" or "<b>".
    rf"(?<!\w){_OPEN}(?!\s?{_HTML}|\s\d)\s?/?[|_]{{0,2}}"
    rf"(?:[a-z][a-z_-]+(?:{_NUMBER})?(?:[a-z_-]+)?|[a-z]{_NUMBER}|\d{{1,4}}|s)[|_]{{0,2}}\s?{_CLOSE}",
    # As part of a word, "dog<mask>" and "</ref><box>", only what is known.
    rf"{_OPEN}\s?/?[|_]{{0,2}}{STEMS}(?:{_NUMBER}|[_-][a-z]+)?[|_]{{0,2}}\s?{_CLOSE}",
    rf"{_OPEN}\|[\w ]+\|{_CLOSE}",
    # Two or three words: <bounding box 1>, <image here>.
    rf"{_OPEN}(?:[a-z]+ ){{0,2}}{STEMS}(?:{_NUMBER}| here| token)?{_CLOSE}",
    # <r0 and r0>, with one of the brackets lost.
    r"(?<!\w)<\s?r\s?\d+(?![\d>\w]|\s?>)|(?<![<\w])(?<!< )r\d+>(?=[\s.,;:?!]|$)",
    # [3], [region 1], [person1], [SEG]; not a[0], [sic] or [text](link).
    rf"(?<![\w\])])\[(?:\d{{1,3}}|{STEMS}(?:{_NUMBER})?|[a-z]+\d+)\](?!\()",
    r"\[/?(?-i:SEG|CLS|PAD|SEP|INST|UNK|LOC|DET|REJ|EOS|BOS)\d*\]",
    # {r0}, {{obj}}, ${region}, %(obj)s, %s; not \frac{ab}{cd} or x^{ab}.
    r"(?<![\w\\^_}{])\{\{?\s?(?:[a-z_]\w+)\s?\}\}?|%\([a-z]\w*\)s|(?<![\w%])%s(?!\w)",
    # __region0__, @obj1, #region2.
    rf"(?<!\w)__{STEMS}(?:{_NUMBER})?__(?!\w)|(?<!\w)[@$#]{STEMS}_?\d+\b",
)
_PLACEHOLDER = re.compile("|".join(_FORMS), re.IGNORECASE)


def foreign_placeholders(text: str) -> tuple[str, ...]:
    """List what looks like a placeholder of another format in a text as it is sent, each once."""
    return tuple(dict.fromkeys(match[0] for match in _PLACEHOLDER.finditer(text)))
