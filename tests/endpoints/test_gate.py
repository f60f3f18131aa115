import threading
from concurrent.futures import ThreadPoolExecutor

from vipbench.endpoints.gate import START, Gate


def test_it_rises_to_the_ceiling_while_nothing_is_refused() -> None:
    gate = Gate(32)
    assert gate.limit == START
    for _ in range(24):
        gate.answered()
    assert gate.limit == 32
    gate.answered()
    assert gate.limit == 32
    assert Gate(3).limit == 3


def test_a_refusal_halves_it_once_for_all_that_were_under_way() -> None:
    gate = Gate(8)
    numbers = []
    for _ in range(5):
        with gate.passing() as number:
            numbers.append(number)
    for number in numbers:
        gate.refused(number)
    assert gate.limit == 4
    with gate.passing() as number:
        gate.refused(number)
    assert gate.limit == 2
    for _ in range(3):
        with gate.passing() as number:
            gate.refused(number)
    assert gate.limit == 1


def test_after_a_refusal_it_rises_slowly() -> None:
    gate = Gate(8)
    with gate.passing() as number:
        gate.refused(number)
    for _ in range(4):
        gate.answered()
    assert gate.limit == 4
    gate.answered()
    assert gate.limit == 5


def test_no_more_pass_than_the_limit() -> None:
    gate = Gate(3)
    inside, most = 0, 0
    lock = threading.Lock()

    def work(_: int) -> None:
        nonlocal inside, most
        with gate.passing():
            with lock:
                inside += 1
                most = max(most, inside)
            threading.Event().wait(0.002)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(40)))
    assert most == 3
