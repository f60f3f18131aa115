"""`vipbench power` as a user meets it."""

import re

from tests.analysis.test_pairs import V7W
from tests.cli.conftest import Vipbench


def test_power_takes_runs_or_numbers(vipbench: Vipbench, folders: tuple[str, str]) -> None:
    ran = vipbench("power", "--n", "3000", "--discordance", "0.15", "--design-effect", "1.25")
    assert ran.code == 0
    assert re.search(r"3,000 +- +15.0 % +1.25 +1.96 points +2,896\n", ran.out)
    assert vipbench("power", folders[0]).out.count(V7W) == 3
    lost_only = vipbench("power", *folders).out  # 20 lost, none gained
    assert "  to and fro  " in lost_only
    assert "  5.0 % (at least)  " in lost_only
    assert "(measured)" not in lost_only
    for arguments in ((), (folders[0], "--n", "5")):
        ran = vipbench("power", *arguments)
        assert ran.code == 2
        assert "expected either a run or --n" in ran.err
