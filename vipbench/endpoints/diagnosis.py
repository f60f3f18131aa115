"""What a refusal means for the user: whose fault it is, and what to do about it."""

import re
from difflib import get_close_matches

from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.messages import Call

MODELS_SHOWN = 12
"""Names of models that a message shows."""
_IMAGES = r"(?:image|images|image inputs?|image_url|vision|multi-?modal\w*)"
_BLIND = re.compile(
    rf"{_IMAGES}(?: content| data)? (?:is|are)(?: currently)?(?: not|n't) "
    r"(?:support|available|allow)"
    rf"|(?:not support|n't support|not accept|endpoints found that support) (?:\w+ )?{_IMAGES}"
    rf"|unsupported (?:content type|input|modality).{{0,20}}{_IMAGES}"
    rf"|unknown variant .?{_IMAGES}|is not a (?:vision|multi-?modal)"
    r"|image_url is only supported by|at most 0 image|content must be a string|text[- ]only model"
)
_LARGE = re.compile(
    r"(?:image|file|picture).{0,60}(?:too large|too big|exceed|larger than|maximum|over the|limit)"
    r"|(?:too large|too big|exceeds|maximum).{0,60}(?:image|picture)"
    r"|(?:request|payload|body|entity).{0,30}too large"
)
_MANY = re.compile(r"at most \d+ image|too many images|only (?:one|1|\d+) images?")


def sees_no_image(call: Call, words: str) -> bool:
    """Say whether a refusal of a call with images is one of images at all."""
    return bool(call.images) and _BLIND.search(words.lower()) is not None


def refuses_size(call: Call, status: int, words: str) -> bool:
    """Say whether a refusal of a call with images is one of their size."""
    return bool(call.images) and (status == 413 or _LARGE.search(words.lower()) is not None)


def refuses_number(call: Call, words: str) -> bool:
    """Say whether a refusal of a call with several images is one of their number."""
    return len(call.images) > 1 and _MANY.search(words.lower()) is not None


def describe_sizes(call: Call) -> str:
    """Return how large the images of a call are, for a message."""
    sizes = [f"{len(image.data):,} bytes" for image in call.images]
    return ", ".join(sizes[:4]) + (", …" if len(sizes) > 4 else "")


def known_models(endpoint: Endpoint, names: list[str]) -> str:
    """Say which models a server has, for a message about an unknown one."""
    if not names or endpoint.model in names:
        return ""
    more = f" and {len(names) - MODELS_SHOWN} more" if len(names) > MODELS_SHOWN else ""
    listed = f" · the server has {', '.join(names[:MODELS_SHOWN])}{more}"
    close = get_close_matches(endpoint.model, names, n=1, cutoff=0.6)
    return f"{listed} · did you mean {close[0]!r}?" if close else listed
