"""`vipbench power` as a user meets it."""

import re

from tests.analysis.test_pairs import V7W
from tests.cli.conftest import Vipbench


def test_power_takes_runs_or_numbers(vipbench: Vipbench, folders: tuple[str, str]) -> None:
    ran = vipbench("power", "--n", "3000", "--discordance", "0.15", "--design-effect", "1.25")
    assert ran.code == 0
    assert re.search(r"3,000 +- +15.0 % +1.25 +1.96 points +2,896\n", ran.out)
    assert vipbench("power", folders[0]).out.count(V7W) == 3
    assert "(measured)" in vipbench("power", *folders).out
    for arguments in ((), (folders[0], "--n", "5")):
        ran = vipbench("power", *arguments)
        assert ran.code == 2
        assert "expected either a run or --n" in ran.err
