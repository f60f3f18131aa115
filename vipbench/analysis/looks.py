"""Tests that are repeated while more runs come in: the level of each, however many will follow."""


def level(alpha: float, look: int) -> float:
    """Return the level of one look, the first one being 1: alpha / (k (k + 1)).

    All of them together, however many, add up to `alpha`, so that their number need not be known.
    """
    return alpha / (look * (look + 1))
