"""To come."""


def test_to_come() -> None:
    import vipbench.stats.verdicts

    assert vipbench.stats.verdicts
