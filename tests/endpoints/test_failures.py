from vipbench.endpoints.failures import NoReply, Stopped, TryFailed
from vipbench.errors import VipbenchError


def test_what_one_question_comes_to_is_no_error_of_the_command() -> None:
    for kind in (NoReply, Stopped, TryFailed):
        assert not issubclass(kind, VipbenchError)
    assert TryFailed("late", wait=2.0).wait == 2.0
