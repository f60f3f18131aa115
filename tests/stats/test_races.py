"""To come."""


def test_to_come() -> None:
    import vipbench.stats.races

    assert vipbench.stats.races
