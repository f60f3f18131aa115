import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.engine.made import trials
from tests.runs import Brightness
from vipbench.engine.batches import BatchPipeline, answer_batches, requests_of
from vipbench.errors import RunError, RunnerError
from vipbench.images.load import digest_pixels, load_measured, load_pixels
from vipbench.runfolder.lines import ResponseLine
from vipbench.runners.contract import Runner, patch_size_of
from vipbench.schema import Request, Response

PLAN = [(2, 0), (1, 4), (3,)]


class Blindfold:
    """Reads no images, and tells which requests it was asked."""

    image_size = None
    reads_images = False

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        assert not images
        return [Response(text=request.id) for request in requests]


class Patched(Brightness):
    """Cuts its square into patches."""

    patch_size = 8

    def __init__(self) -> None:
        super().__init__(None)


class Short:
    """Forgets one response."""

    image_size = 24

    def __init__(self, model: str | None = None) -> None:
        pass

    def generate(self, requests: Sequence[Request], images: Sequence[np.ndarray]) -> list[Response]:
        return [Response(text="A") for _ in requests[1:]]


def answer(
    runner: Runner, folder: Path, todo: Sequence[int], n_loaders: int = 0, ahead: int | None = None
) -> list[list[ResponseLine]]:
    batches: list[list[ResponseLine]] = []
    made, images = trials(folder), {"own": folder}
    ask = partial(answer_batches, ahead=ahead, n_loaders=n_loaders)
    ask(runner, "it", made, PLAN, todo, images, batches.append)
    return batches


def test_batches_are_answered_in_order_and_as_planned(tmp_path: Path) -> None:
    batches = answer(Brightness(None), tmp_path, [0, 2])
    assert [[line.id for line in lines] for lines in batches] == [["q2", "q0"], ["q3"]]
    assert [[line.batch for line in lines] for lines in batches] == [[0, 0], [2]]


def test_nothing_to_do_asks_nothing(tmp_path: Path) -> None:
    runner = Brightness(None)
    assert answer(runner, tmp_path, []) == []
    assert runner.batches == 0


def test_each_answer_comes_with_the_digest_of_what_was_seen(tmp_path: Path) -> None:
    ((line,),) = answer(Brightness(None), tmp_path, [2])
    (trial,) = trials(tmp_path).read([3])
    assert trial.request is not None
    pixels = load_pixels(trial.request, tmp_path, 24)
    assert line.pixels == digest_pixels(pixels)
    assert line.key == trial.request.key
    assert line.text == Brightness(None).generate([trial.request], [pixels])[0].text


def test_each_answer_comes_with_what_was_left_of_the_marks(tmp_path: Path) -> None:
    [trial] = trials(tmp_path).read([3])
    assert trial.request is not None
    for runner, patch_size in ((Brightness(None), None), (Patched(), 8)):
        ((line,),) = answer(runner, tmp_path, [2])
        seen = load_measured(trial.request, tmp_path, 24, patch_size).visibility
        assert line.visibility == seen
        assert len(seen) == 1
        assert (seen[0].n_patches is None) == (patch_size is None)


def test_a_patch_size_that_is_none_is_left_aside() -> None:
    runner = Patched()
    assert patch_size_of(runner) == 8
    assert patch_size_of(Brightness(None)) is None
    for value in ("8", 0, -1, None, 7.5):
        setattr(runner, "patch_size", value)  # noqa: B010  # as a plugin may have it
        assert patch_size_of(runner) is None


def test_an_image_that_cannot_be_decoded_fails_alone(tmp_path: Path) -> None:
    def spoil() -> None:
        # The header is whole, so that only decoding fails.
        Image.new("RGB", (48, 32), (9, 9, 9)).save(tmp_path / "0.png")
        whole = (tmp_path / "0.png").read_bytes()
        (tmp_path / "0.png").write_bytes(whole[: len(whole) // 2])

    made = trials(tmp_path)
    spoil()
    batches: list[list[ResponseLine]] = []
    answer_batches(Brightness(None), "it", made, PLAN, [0], {"own": tmp_path}, batches.append)
    good, bad = batches[0]
    assert (good.id, good.error) == ("q2", None)
    assert (bad.id, bad.text, bad.finish) == ("q0", None, "error")
    assert "0.png" in str(bad.error)
    assert (len(good.visibility or ()), bad.visibility) == (1, None)


def test_a_runner_without_eyes_is_given_no_images(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.png").unlink(missing_ok=True)
    batches = answer(Blindfold(), tmp_path, [0, 1, 2])
    lines = [line for batch in batches for line in batch]
    assert [line.text for line in lines] == [line.id for line in lines]
    assert {(line.pixels, line.visibility) for line in lines} == {(None, None)}


@pytest.mark.parametrize("n_loaders", [1, 2])
def test_loaders_change_nothing(tmp_path: Path, n_loaders: int) -> None:
    for todo in ([0, 1, 2], [1], []):
        expected = answer(Patched(), tmp_path, todo)
        assert answer(Patched(), tmp_path, todo, n_loaders) == expected


def test_a_runner_without_eyes_has_no_loaders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answer(Blindfold(), tmp_path, [0, 1, 2])
    monkeypatch.setattr(sys, "executable", "/nowhere")  # so that none could be started
    assert answer(Blindfold(), tmp_path, [0, 1, 2], 2) == expected
    with pytest.raises(RunError, match=r"loader 1: cannot be started \(No such file"):
        answer(Brightness(None), tmp_path, [0], 2)


@pytest.mark.parametrize(("n_loaders", "ahead"), [(0, 1), (2, 2)])
def test_so_many_batches_are_prepared_ahead(tmp_path: Path, n_loaders: int, ahead: int) -> None:
    read: list[int] = []
    requests = requests_of(trials(tmp_path).read(range(5)))

    def look(batch: int) -> list[Request]:
        read.append(batch)
        return requests[batch : batch + 1]

    with BatchPipeline(Brightness(None), "it", {"own": tmp_path}, n_loaders=n_loaders) as pipeline:
        assert pipeline.ahead == ahead
        for batch in range(1 + ahead):
            pipeline.prepare(batch, look)
        for batch in range(5):
            (line,) = pipeline.answer(batch, look)
            assert (line.id, line.batch) == (requests[batch].id, batch)
            if batch + 1 + ahead < 5:
                pipeline.prepare(batch + 1 + ahead, look)
    assert sorted(read) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_what_is_prepared_ahead_changes_nothing(tmp_path: Path, ahead: int) -> None:
    expected = answer(Patched(), tmp_path, [0, 1, 2])
    assert answer(Patched(), tmp_path, [0, 1, 2], ahead=ahead) == expected


def test_a_runner_that_breaks_its_contract_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="runner it: returned 1 responses for a batch of 2"):
        answer(Short(), tmp_path, [0])
