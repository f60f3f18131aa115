"""What one question may come to instead of a reply."""


class NoReply(Exception):
    """One question stays without a reply; others may get theirs."""

    def __init__(self, reason: str, *, is_refused: bool = True) -> None:
        """Keep the reason, and whether the server has refused this question or answered none."""
        super().__init__(reason)
        self.is_refused = is_refused


class Stopped(Exception):
    """Somebody else has stopped all questions."""


class TryFailed(Exception):
    """One call came to nothing; the same may do the next time."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        """Keep the reason, and the seconds that the server wants to be left alone."""
        super().__init__(reason)
        self.wait = wait
