import pytest
from pydantic import ValidationError

from vipbench.errors import RunError
from vipbench.runfolder.shard import Shard, device_of_rank, parse_shard

SLURM = {
    "SLURM_ARRAY_TASK_ID": "5",
    "SLURM_ARRAY_TASK_COUNT": "4",
    "SLURM_ARRAY_TASK_MIN": "3",
}
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "3", "LOCAL_RANK": "0"}


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [0, 1, 5, 12])
def test_shards_hold_each_batch_once(n: int, count: int) -> None:
    shards = [Shard(index=i + 1, count=count).batches(n) for i in range(count)]
    assert sorted(batch for shard in shards for batch in shard) == list(range(n))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_a_shard_is_named() -> None:
    shard = parse_shard("2/3", {})
    assert shard == Shard(index=2, count=3)
    assert (str(shard), shard.folder) == ("2/3", "shard-2-of-3")
    assert list(shard.batches(9)) == [1, 4, 7]


@pytest.mark.parametrize("text", ["3/2", "0/2", "0/0", "1/0"])
def test_there_is_no_such_shard(text: str) -> None:
    with pytest.raises(RunError, match=f"--shard {text}: there is no such shard"):
        parse_shard(text, {})
    index, count = map(int, text.split("/"))
    with pytest.raises(ValidationError):
        Shard(index=index, count=count)


@pytest.mark.parametrize("text", ["", "1", "1/", "/2", "a/b", "-1/2", "1/2/3", "1.0/2", "Auto"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(RunError, match="expected i/n, such as 1/4, or auto"):
        parse_shard(text, {})


def test_auto_is_what_the_environment_says() -> None:
    assert str(parse_shard("auto", SLURM)) == "3/4"
    assert str(parse_shard("auto", TORCHRUN)) == "2/3"
    # Who gives a shard means it, wherever.
    assert str(parse_shard("1/2", SLURM | TORCHRUN)) == "1/2"


@pytest.mark.parametrize(
    ("environment", "fault"),
    [
        ({}, "neither SLURM_ARRAY_TASK_ID"),
        (SLURM | TORCHRUN, "are both set"),
        ({"RANK": "0"}, "WORLD_SIZE is ''"),
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK is 'x'"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "no such shard"),
        ({"SLURM_ARRAY_TASK_ID": "1"}, "SLURM_ARRAY_TASK_COUNT is ''"),
        # --array=3,9: a number beyond their count
        (SLURM | {"SLURM_ARRAY_TASK_COUNT": "2"}, "expected numbers without gaps"),
    ],
    ids=str,
)
def test_an_environment_that_tells_no_shard_is_refused(
    environment: dict[str, str], fault: str
) -> None:
    with pytest.raises(RunError, match=fault):
        parse_shard("auto", environment)


def test_torchrun_gives_each_process_its_gpu() -> None:
    assert device_of_rank("cuda", TORCHRUN | {"LOCAL_RANK": "1"}) == "cuda:1"
    assert device_of_rank("cuda:3", TORCHRUN) == "cuda:3"
    assert device_of_rank("cpu", TORCHRUN) == "cpu"
    assert device_of_rank("cuda", {}) == "cuda"
    assert device_of_rank("cuda", SLURM) == "cuda"
