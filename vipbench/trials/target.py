"""The text that a target asks for: what the oracle answers, and `check` scores."""

from vipbench.schema import Kind
from vipbench.scoring.answers import AND, OR


def right_text(kind: Kind, target: str) -> str:
    """Return an answer that a target accepts, if it accepts any.

    Of a graded target that is the first alternative of every part; empty ones, which never hold,
    are passed over.
    """
    if kind != "graded":
        return target.strip()
    parts = ([text.strip() for text in part.split(OR)] for part in target.split(AND))
    return " ".join(next(filter(None, alternatives), "") for alternatives in parts)
