import pytest

from vipbench.endpoints.extras import parse_price
from vipbench.errors import JudgeError
from vipbench.judge.settings import JUDGE


def test_prices() -> None:
    assert parse_price("30, 60", JUDGE) == (30.0, 60.0)
    for text in ("", "30", "1,2,3", "a,b", "-1,2", "nan,1", "inf,1"):
        with pytest.raises(JudgeError, match="expected two numbers"):
            parse_price(text, JUDGE)
