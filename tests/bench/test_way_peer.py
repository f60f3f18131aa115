"""A server beside the others: the same requests and pixels, several under way, one line each."""

from pathlib import Path

import numpy as np
import pytest

from tests.bench.conftest import make_job
from tests.endpoint_runs import has_image, image_of
from tests.judge_server import Answer, Asked, JudgeServer
from vipbench import files
from vipbench.bench.records import Peer
from vipbench.bench.ways import measure
from vipbench.errors import RunnerError
from vipbench.images.load import load_pixels
from vipbench.schema import Trial


def answering(asked: Asked) -> Answer:
    """Answer questions; what else is asked for there is not."""
    return Answer(text="B") if asked.path.endswith("/chat/completions") else Answer(status=404)


@pytest.mark.usefixtures("threads")
def test_a_server_is_asked_what_all_are_asked(tmp_path: Path) -> None:
    with JudgeServer(answering) as server:
        peer = Peer(url=server.url, model="seer", extra_body={"marker": 7})
        job = make_job(tmp_path, peer=peer, way="peer", repeat=3, batch_sizes=(4,))
        outcome = measure(job, tmp_path)
        asked = [each for each in server.asked if has_image(each)]
    assert [answer.text for answer in outcome.answers] == ["B"] * 6
    assert {answer.n_new for answer in outcome.answers} == {2}
    official = measure(job.model_copy(update={"way": "official"}), make(tmp_path / "official"))
    assert [each.n_prompt for each in outcome.answers] == [
        each.n_prompt for each in official.answers
    ]
    assert outcome.shape == official.shape
    assert outcome.batch_size == 4
    assert (outcome.forgets, outcome.stages, outcome.attention) == (False, {}, "")
    assert outcome.seconds_busy is outcome.seconds_waited is None
    assert {each.body["marker"] for each in asked} == {7}
    sent = {np.asarray(image_of(each)[0].convert("RGB")).tobytes() for each in asked}
    trials = files.read_lines(job.requests, Trial)
    side = official.shape.image_size if official.shape else 0
    expected = {
        load_pixels(trial.request, job.images[trial.task], side).tobytes()
        for trial in trials
        if trial.request is not None
    }
    assert sent == expected


@pytest.mark.usefixtures("threads")
def test_the_number_under_way_is_tried(tmp_path: Path) -> None:
    with JudgeServer(answering) as server:
        peer = Peer(url=server.url, model="seer")
        job = make_job(tmp_path, peer=peer, way="peer", kind="tune", batch_sizes=(1, 2))
        speeds = measure(job, tmp_path).speeds
    assert {speed.batch_size for speed in speeds} == {1, 2}
    assert {speed.threads for speed in speeds} == {1}


@pytest.mark.usefixtures("threads")
def test_what_a_server_takes_is_found_out_before_time_counts(tmp_path: Path) -> None:
    with JudgeServer(answering) as server:
        peer = Peer(url=server.url, model="seer")
        measure(make_job(tmp_path, peer=peer, way="peer", repeat=2, batch_sizes=(1,)), tmp_path)
        paths = [each.path for each in server.asked]
    begun = paths.index("/reset_prefix_cache")
    assert begun > 0
    assert sum(path.endswith("/chat/completions") for path in paths[begun:]) == 4


@pytest.mark.usefixtures("threads")
def test_what_is_said_of_a_server_is_told_once(tmp_path: Path) -> None:
    """A vLLM that leaves out BOS, which the answers would tell only by being others."""

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/tokenize"):
            return Answer(
                body={"tokens": [1, 5, 6] if asked.body["add_special_tokens"] else [5, 6]}
            )
        return answering(asked)

    lists: dict[str, object] = {"/v1/models": {"data": [{"id": "seer", "owned_by": "vllm"}]}}
    with JudgeServer(answer, lists=lists) as server:
        job = make_job(tmp_path, peer=Peer(url=server.url, model="seer"), way="peer", kind="tune")
        said = [
            text for text in measure(job, tmp_path).messages if "first" in text or "BOS" in text
        ]
    assert len(said) == 1
    assert said[0].endswith("""give --peer-body '{"add_special_tokens": true}'""")


@pytest.mark.usefixtures("threads")
def test_a_server_that_does_not_answer_is_no_measurement(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        choice: dict[str, object] = (
            {"finish_reason": "content_filter"} if len(server.asked) > 4 else {}
        )
        return Answer(text="B", choice=choice)

    with JudgeServer(answer) as server:
        job = make_job(tmp_path, peer=Peer(url=server.url, model="seer"), way="peer", repeat=4)
        with pytest.raises(RunnerError, match=r"--peer http.*: does not answer v7w-"):
            measure(job, tmp_path)


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder
