"""Batches that go through the model as one are written one by one."""

from vipbench.run.together import Together
from vipbench.runfolder.lines import ResponseLine


def line(id_: str, batch: int) -> ResponseLine:
    return ResponseLine(task="t", style="s", id=id_, key="k", batch=batch, text="A", finish="stop")


def test_batches_are_joined_and_written_one_by_one() -> None:
    written: list[list[ResponseLine]] = []
    plan = [(0, 1), (2,), (5,), (4, 3)]
    joined = Together(plan, [[1, 3], [0]], [0, 3], written.append)
    assert joined.todo == [0, 1]
    assert [joined.plan[number] for number in joined.todo] == [(0, 1), (2, 4, 3)]
    joined.write([line("a", 0), line("b", 0)])
    joined.write([line("c", 1), line("d", 1), line("e", 1)])
    # Batch 1 was written before.
    assert [[(each.id, each.batch) for each in lines] for lines in written] == [
        [("a", 0), ("b", 0)],
        [("d", 3), ("e", 3)],
    ]
