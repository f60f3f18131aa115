"""Whole runs against an endpoint that fails as it is told: exact accounts, and nothing lost."""

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.endpoint_runs import (
    REPO,
    asking,
    command,
    has_image,
    image_of,
    lines,
    text_of,
    vipbench,
    vipbench_command,
)
from tests.engine.made import wait_until
from tests.judge_server import Answer, Asked, JudgeServer
from tests.runs import make_joint, make_task
from vipbench.console import Console
from vipbench.endpoints.dialect import Dialect
from vipbench.errors import EndpointStopped, RunError, RunnerError, TooManyErrors
from vipbench.html import write_report
from vipbench.run.dry_run import dry_run
from vipbench.run.loop import run
from vipbench.run.merge import merge
from vipbench.run.score import score
from vipbench.run.seeds import run_seeds
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import MANIFEST, RESPONSES

COUNTED = {"prompt_tokens": 100, "completion_tokens": 2}
BARE = {"prompt_tokens": 20, "completion_tokens": 2}
N, N_STYLES = 12, 3
ALL = N * N_STYLES


def usage(asked: Asked) -> dict[str, int]:
    return COUNTED if has_image(asked) else BARE


def right(asked: Asked) -> Answer:
    return Answer("B", model="seer-1", usage=usage(asked))


def questions(server: JudgeServer) -> list[str]:
    """Return all that was asked with an image, by what tells one request from another."""
    return [json.dumps(asked.body["messages"]) for asked in server.asked if has_image(asked)]


def test_a_run_is_one_like_any_other(tmp_path: Path) -> None:
    make_task(tmp_path, n=N)
    with JudgeServer(right) as server:
        results = run(asking(tmp_path, server.url))
        assert results.n_answered == ALL
        # Each request once, and one question without its image, which tells if images count.
        assert len(server.asked) == ALL + 1
        assert len(questions(server)) == ALL
        again = run(asking(tmp_path, server.url))
        assert (again.n_answered, len(server.asked)) == (0, ALL + 1)
    manifest = results.manifest
    assert (manifest.batch_size, manifest.n_batches) == (1, ALL)
    assert manifest.answered_by == {"seer-1": ALL}
    assert manifest.dialect == Dialect()
    assert manifest.usage is not None
    assert (manifest.usage.n_calls, manifest.usage.n_prompt_tokens) == (ALL + 1, ALL * 100 + 20)
    found = lines(results.path)
    assert all(line.pixels and line.visibility is not None for line in found)
    assert all(
        (line.state, line.text, line.n_prompt_tokens) == ("answered", "B", 100) for line in found
    )
    assert {tuple(json.loads(line.model_dump_json())) for line in found} == {
        ("task", "style", "id", "key", "batch", "text", "error", "n_prompt_tokens",
         "n_new_tokens", "finish", "option_logprobs", "pixels", "visibility")
    }  # fmt: skip
    before = (results.path / "scores.jsonl").read_bytes()
    assert score(results.path).rows == results.rows
    assert (results.path / "scores.jsonl").read_bytes() == before


def test_images_have_their_own_size_and_fits_are_for_those_who_ask(tmp_path: Path) -> None:
    make_task(tmp_path, n=5, styles="[demo]")
    with JudgeServer(right) as server:
        plain = run(asking(tmp_path, server.url, styles="demo"))
        sizes = {image_of(asked)[0].size for asked in server.asked if has_image(asked)}
        assert sizes == {(48, 32 + number) for number in range(5)}
        assert plain.manifest.image_size is None
        server.asked.clear()
        fitted = run(
            asking(
                tmp_path,
                server.url,
                out=tmp_path / "fit",
                fit="pad",
                styles="demo",
                endpoint={"max_side": 24},
            )
        )
        assert {image_of(each)[0].size for each in server.asked if has_image(each)} == {(24, 24)}
        assert fitted.manifest.image_size == 24
        with pytest.raises(RunError, match="endpoint max side: none → 24"):
            run(asking(tmp_path, server.url, styles="demo", endpoint={"max_side": 24}))


def test_marks_are_measured_in_the_image_that_is_sent(tmp_path: Path) -> None:
    make_task(tmp_path, n=5, styles="[demo]")
    with JudgeServer(right) as server:
        plain = run(asking(tmp_path, server.url, styles="demo"))
        small = run(
            asking(
                tmp_path,
                server.url,
                out=tmp_path / "small",
                styles="demo",
                endpoint={"max_side": 24},
            )
        )
    before, after = ({line.id: line for line in lines(results.path)} for results in (plain, small))
    for id_, line in after.items():
        [mark] = line.visibility or ()
        [whole] = before[id_].visibility or ()
        assert mark.fitted_px == pytest.approx(whole.fitted_px / 4)
        assert (mark.n_px, mark.share) == (whole.n_px, whole.share)
        assert line.pixels != before[id_].pixels
    assert manifests.read(small.path).image_size is None


def test_joint_tasks_styles_and_controls_are_asked(tmp_path: Path) -> None:
    make_joint(tmp_path)
    with JudgeServer(right) as server:
        styles = "demo,none,blind,coordinates,wrong,permuted,rectangle:red"
        results = run(asking(tmp_path, server.url, tasks=("both",), styles=styles))
    assert len({row.style for row in results.rows}) == 7
    assert {row.task for row in results.rows} == {"first", "second", "both"}


# --- states


def by_number(asked: Asked) -> Answer:
    """Give each state its share of the answers."""
    if not has_image(asked):
        return right(asked)
    kind = len(text_of(asked)) % 5
    if kind == 0:
        return Answer(
            status=400,
            body={"error": {"message": "filtered", "code": "content_filter"}},
        )
    message: dict[str, object] = {"content": "B", "reasoning_content": "A cup."}
    finish = "stop"
    if kind == 1:
        message, finish = {"content": None, "refusal": "I may not."}, "stop"
    if kind == 2:
        finish = "length"
    if kind == 3:
        return Answer(status=413, body={"error": {"message": "too large"}})
    return Answer(message=message, choice={"finish_reason": finish}, usage=usage(asked))


def test_each_state_has_its_column_and_is_no_answer(tmp_path: Path) -> None:
    make_task(tmp_path, n=40, styles="[demo]")
    with JudgeServer(by_number) as server, pytest.raises(TooManyErrors, match="413: too large"):
        run(asking(tmp_path, server.url, styles="demo"))
    found = lines(tmp_path / "run")
    states = {state: sum(line.state == state for line in found) for state in
              ("answered", "refused", "cut_off", "filtered", "failed")}  # fmt: skip
    assert all(states.values())
    assert len(found) == 40
    with JudgeServer(by_number) as server:
        results = run(asking(tmp_path, server.url, styles="demo", max_errors=1.0))
        assert server.asked == []
    [row] = [row for row in results.rows if row.group == "all"]
    assert (row.n_answered, row.n_refused, row.n_truncated, row.n_filtered, row.n_errors) == tuple(
        states.values()
    )
    assert row.n == states["answered"] + states["refused"] + states["cut_off"]
    assert row.n_expected == row.n_asked == 40
    refused = [line for line in found if line.state == "refused"]
    assert {line.error for line in refused} == {"I may not."}
    thought = [line for line in found if line.state in ("answered", "cut_off")]
    assert {(line.text, line.reasoning) for line in thought} == {("B", "A cup.")}
    for state, words in (
        ("refused", "none, refused: I may not."),
        ("filtered", "none, filtered: HTTP"),
    ):
        id_ = next(line.id for line in found if line.state == state)
        shown = vipbench_command("show", str(tmp_path / "run"), id_)
        assert f"answer   {words}" in shown.stdout
    id_ = next(line.id for line in found if line.state == "answered")
    assert "thought  'A cup.'" in vipbench_command("show", str(tmp_path / "run"), id_).stdout
    page = write_report([tmp_path / "run"], tmp_path / "page").read_text(encoding="utf-8")
    counts = f'<td class="num">{states["refused"]}</td><td class="num">{states["filtered"]}</td>'
    assert counts in page


def test_probabilities_of_letters_are_scored_where_all_are_told(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        told = {"A": -3.0, " B": -0.2, "C": -2.5, "The": -4.0}
        if len(text_of(asked)) % 2:
            del told["C"]
        top = [{"token": token, "logprob": value} for token, value in told.items()]
        content = [{"token": " B", "logprob": -0.2, "top_logprobs": top}]
        return Answer("C", choice={"logprobs": {"content": content}}, usage=usage(asked))

    make_task(tmp_path, n=20, styles="[demo]")
    with JudgeServer(answer) as server:
        results = run(asking(tmp_path, server.url, metrics=("option_argmax",), styles="demo"))
        sent = [asked.body for asked in server.asked if has_image(asked)]
    assert all((body["logprobs"], body["top_logprobs"]) == (True, 20) for body in sent)
    [row] = [r for r in results.rows if r.group == "all" and r.metric == "option_argmax"]
    n_unknown = sum(line.option_logprobs is None for line in lines(results.path))
    assert 0 < n_unknown < 20
    assert (row.n, row.n_ungraded) == (20 - n_unknown, n_unknown)


# --- what is sent


def test_what_the_user_says_is_sent_and_what_is_not_said_is_too(tmp_path: Path) -> None:
    make_task(tmp_path, n=2, styles="[none]")
    options = {
        "system": "Be brief.",
        "image_order": "last",
        "reasoning_tokens": 500,
        "reasoning_effort": "low",
        "extra_body": {"chat_template_kwargs": {"enable_thinking": False}},
        "headers": ("X-Title=vipbench",),
    }
    with JudgeServer(right) as server:
        results = run(asking(tmp_path, server.url, styles="none", endpoint=options))
    asked = server.asked[0]
    body = asked.body
    assert (body["temperature"], body["top_p"], body["seed"]) == (0, 1, 0)
    assert (body["max_tokens"], body["reasoning_effort"]) == (628, "low")
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert asked.headers["x-title"] == "vipbench"
    system, user = body["messages"]  # type: ignore[misc]
    assert system == {"role": "system", "content": "Be brief."}  # type: ignore[has-type]
    assert [part["type"] for part in user["content"]] == ["text", "image_url"]  # type: ignore[has-type]
    known = results.manifest.identity.settings.endpoint
    assert known is not None
    assert "vipbench" not in known.model_dump_json()


def test_a_dialect_is_found_once_and_a_resumed_run_begins_with_it(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        if "max_tokens" in asked.body:
            return Answer(status=400, body={"error": {"message": "use max_completion_tokens"}})
        if "temperature" in asked.body:
            message = "temperature does not support 0 with this model"
            return Answer(status=400, body={"error": {"message": message}})
        return right(asked)

    make_task(tmp_path, n=N)
    said: list[str] = []
    with JudgeServer(answer) as server:
        with pytest.raises(EndpointStopped, match="--max-calls 10 is reached"):
            run(asking(tmp_path, server.url, endpoint={"max_calls": 10}), Console(said.append))
        assert any("takes max_completion_tokens" in text for text in said)
        n = len(lines(tmp_path / "run"))
        assert n == 10 - 2 - 1  # two refusals, one question without its image
        begun = manifests.read(tmp_path / "run").dialect
        assert begun == Dialect(tokens_key="max_completion_tokens", omitted=("temperature",))
        server.asked.clear()
        results = run(asking(tmp_path, server.url))
        assert len(server.asked) == ALL - n
        assert all("temperature" not in asked.body for asked in server.asked)
    assert results.manifest.dialect == begun
    assert results.manifest.answered_by == {"seer-1": ALL}
    assert results.manifest.usage is not None
    assert results.manifest.usage.n_calls == 10 + ALL - n


# --- stops


def test_a_budget_stops_before_it_is_exceeded_and_the_same_command_goes_on(tmp_path: Path) -> None:
    make_task(tmp_path, n=N)
    more = ("--price-in", "10", "--price-out", "10", "--budget", "0.03")
    with JudgeServer(right) as server:
        counts = []
        for _ in range(30):
            done = vipbench(tmp_path, server.url, *more)
            counts.append(len(lines(tmp_path / "run")))
            spent = manifests.read(tmp_path / "run").usage
            if done.returncode == 0:
                break
            assert done.returncode == 3, done.stderr
            assert "--budget 0.03 is reached" in done.stderr
    assert done.returncode == 0
    assert counts == sorted(set(counts))
    assert len(counts) > 1
    assert len(questions(server)) == ALL
    assert spent is not None
    assert spent.dollars == pytest.approx((ALL * 102 + 22) / 1e5)
    assert (spent.dollars or 0) <= 0.03 * len(counts)


def test_nothing_could_be_asked_is_exit_code_2_and_leaves_nothing(tmp_path: Path) -> None:
    make_task(tmp_path, n=3)
    with JudgeServer(lambda asked: Answer(status=401, body={"error": "no key"})) as server:
        done = vipbench(tmp_path, server.url)
    assert done.returncode == 2
    assert "check the key (VIPBENCH_MODEL_KEY or OPENAI_API_KEY, --api-key-env" in done.stderr
    assert not (tmp_path / "run").exists()
    done = vipbench(tmp_path, server.url, "--batch-size", "4")
    assert done.returncode == 2
    assert "say with --concurrency N" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_goes_away_is_exit_code_3_and_the_same_command_goes_on(
    tmp_path: Path,
) -> None:
    make_task(tmp_path, n=N)
    gone = threading.Event()

    def answer(asked: Asked) -> Answer:
        if asked.number > 10 and not gone.is_set():
            return Answer(status=503, body={"error": {"message": "shutting down"}})
        return right(asked)

    with JudgeServer(answer) as server:
        done = vipbench(tmp_path, server.url, "--tries", "1")
        assert done.returncode == 3, done.stderr
        assert "questions in a row got no answer, the last: HTTP 503" in done.stderr
        n = len(lines(tmp_path / "run"))
        # The one call that is no question of the run comes sooner or later.
        assert n == sum(asked.number <= 10 and has_image(asked) for asked in server.asked) >= 10
        assert {line.state for line in lines(tmp_path / "run")} == {"answered"}
        gone.set()
        server.asked.clear()
        done = vipbench(tmp_path, server.url)
        assert done.returncode == 0
        assert len(server.asked) == ALL - n


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_kill_loses_no_more_than_what_was_under_way(tmp_path: Path, how: signal.Signals) -> None:
    make_task(tmp_path, n=N)
    at_once, stall, release = 4, threading.Event(), threading.Event()

    def answer(asked: Asked) -> Answer:
        answered = right(asked)
        if asked.number >= 20 and not release.is_set():
            answered.wait = release
            stall.set()
        return answered

    with JudgeServer(answer) as server:
        more = ("--concurrency", f"{at_once}")
        process = subprocess.Popen(
            command(tmp_path, server.url, *more), cwd=REPO, stderr=subprocess.PIPE
        )
        assert stall.wait(60)
        wait_until(lambda: len(server.asked) >= 20 + at_once, "as many questions as may be asked")
        # All that was answered comes to the disk, though others are still under way.
        answered = 20 - 1
        wait_until(lambda: len(lines(tmp_path / "run")) >= answered, "the answers on the disk")
        assert len(lines(tmp_path / "run")) == answered
        os.kill(process.pid, how)
        if how == signal.SIGINT:
            time.sleep(0.5)
            release.set()
        process.communicate(timeout=30)
        release.set()
        first = len(server.asked)
        kept = len(lines(tmp_path / "run"))
        # Ctrl-C waits for what is under way, which is paid for.
        assert kept == answered + (at_once if how == signal.SIGINT else 0)
        assert first <= 20 + at_once
        done = vipbench(tmp_path, server.url)
        assert done.returncode == 0, done.stderr
        assert len(server.asked) - first == ALL - kept
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    manifest = manifests.read(tmp_path / "run")
    assert set(manifest.answered_by) == {"seer-1"}
    assert len(lines(tmp_path / "run")) == ALL


# --- shards, seeds, dry runs


def test_shards_are_merged_with_what_each_has_taken(tmp_path: Path) -> None:
    make_task(tmp_path, n=N)
    with JudgeServer(right) as server:
        whole = run(asking(tmp_path, server.url, out=tmp_path / "whole"))
        parts = [
            run(asking(tmp_path, server.url, shard={"index": i, "count": 3})).path
            for i in (1, 2, 3)
        ]
    merged = merge(parts, tmp_path / "merged")
    assert merged.manifest.answered_by == {"seer-1": ALL}
    assert merged.manifest.usage is not None
    assert merged.manifest.usage.n_calls == ALL + 3
    assert merged.manifest.dialect == Dialect()
    assert (merged.path / "scores.jsonl").read_bytes() == (whole.path / "scores.jsonl").read_bytes()
    path = parts[1] / MANIFEST
    content = json.loads(path.read_text())
    content["dialect"]["tokens_key"] = "max_completion_tokens"
    path.write_text(json.dumps(content))
    with pytest.raises(RunError, match="parameters that the server took: the usual ones → takes"):
        merge(parts, tmp_path / "other")


def test_seeds_are_runs_of_their_own(tmp_path: Path) -> None:
    make_task(tmp_path, n=4, styles="[demo]")
    with JudgeServer(right) as server:
        _, rows = run_seeds(asking(tmp_path, server.url, styles="demo"), 2)
    assert {row.seeds for row in rows} == {(0, 1)}


def test_a_dry_run_tells_what_it_would_cost_and_sends_nothing(tmp_path: Path) -> None:
    make_task(tmp_path, n=N)
    prices = {"price_in": 2.0, "price_out": 8.0}
    with JudgeServer(right) as server:
        plan = dry_run(asking(tmp_path, server.url, endpoint=prices))
        assert server.asked == []
        assert plan.estimate is not None
        assert (plan.n_left, plan.estimate.n_images) == (ALL, ALL)
        assert plan.estimate.n_prompt_tokens > ALL * 1600
        assert plan.estimate.most_new_tokens == ALL * 128
        dollars = (plan.estimate.n_prompt_tokens * 2 + ALL * 128 * 8) / 1e6
        assert plan.estimate.most_dollars == pytest.approx(dollars)
        done = vipbench(tmp_path, server.url, "--dry-run", "--price-in", "2", "--price-out", "8",
                        "--budget", "0.01")  # fmt: skip
        assert f"images      {ALL}" in done.stdout
        assert f"money       at most about ${dollars:.2f}, more than --budget 0.01" in done.stdout
        run(asking(tmp_path, server.url))
        again = dry_run(asking(tmp_path, server.url, endpoint=prices))
    assert again.estimate is not None
    assert (again.n_left, again.estimate.n_requests) == (0, 0)


def test_a_broken_image_is_one_failure(tmp_path: Path) -> None:
    make_task(tmp_path, n=N, styles="[demo]")
    fields: dict[str, Any] = {"max_errors": 1.0, "styles": "demo", "endpoint": {"concurrency": 1}}

    def answer(asked: Asked) -> Answer:
        (tmp_path / "4.png").write_bytes((tmp_path / "4.png").read_bytes()[:60])
        return right(asked)

    with JudgeServer(answer) as server:
        results = run(asking(tmp_path, server.url, **fields))
    failed = [line for line in lines(results.path) if line.state == "failed"]
    assert 1 <= len(failed) <= 2  # the last image is remembered
    assert all("image: " in (line.error or "") for line in failed)
    assert all(line.pixels is None and line.visibility is None for line in failed)


def test_batches_of_another_runner_are_refused(tmp_path: Path) -> None:
    make_task(tmp_path, n=3)
    with JudgeServer(right) as server, pytest.raises(RunnerError, match="asks one question at"):
        run(asking(tmp_path, server.url, batch_size=4))
    assert not (tmp_path / "run" / RESPONSES).exists()
