"""To come."""


def test_to_come() -> None:
    import vipbench.stats.sequences

    assert vipbench.stats.sequences
