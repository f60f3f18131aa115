"""`vipbench demo` as a user meets it."""

from tests.cli.conftest import Vipbench


def test_demo_make_writes_data_that_check_takes(vipbench: Vipbench) -> None:
    code, out, _ = vipbench("demo", "make", "--n", "4", "-o", "made")
    assert code == 0
    options = out.split()
    assert vipbench("check", "pointqa_looktwice_super", *options).code == 0
    again = vipbench("demo", "make", "-o", "made")
    assert again.code == 2
    assert "is not empty" in again.err
