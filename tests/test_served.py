"""Runner `openai` and the judge from end to end: real models behind one `transformers serve`."""

# mypy: disable-error-code=no-untyped-call

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.runs import bind_again, make_task
from tests.runs import settings as run_settings
from vipbench import files
from vipbench.demo import embedded
from vipbench.endpoints.endpoint import Endpoint
from vipbench.judge.report import read_report
from vipbench.judge.runs import METRIC
from vipbench.judge.settings import JUDGE, JudgeSettings
from vipbench.run import loop, score
from vipbench.run.settings import RunSettings
from vipbench.runfolder.answers_file import read_responses
from vipbench.runfolder.folder import RESPONSES, SCORES
from vipbench.runfolder.lines import ResponseLine, ScoreLine
from vipbench.runners.endpoint_options import EndpointOptions

UNKNOWN, END, ASSISTANT = "<unk>", "</s>", "[assistant]"
WRONG, UNCLEAR = "purple", "mumble"
"""Words in a message that the model below answers with 0 and with prose; without: 1."""
WORDS = [UNKNOWN, END, ASSISTANT, WRONG, UNCLEAR, "0", "1", "maybe"]
SIZE = 16
START_SECONDS = 300
LIMIT = 6
"""Samples of each task, under two styles each."""


def save_model(folder: Path) -> None:
    """Write a Llama that looks for two words in all that was said before, and then spells."""
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.Fuse()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=UNKNOWN,
        eos_token=END,
        pad_token=END,
        additional_special_tokens=[ASSISTANT],
        chat_template="{% for message in messages %}{{ message.content }}{% endfor %}" + ASSISTANT,
    ).save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=SIZE,
        intermediate_size=SIZE,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=4096,
        bos_token_id=None,
        eos_token_id=vocabulary[END],
        pad_token_id=vocabulary[END],
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name:
                weight.zero_()
        # A word is its own direction. Attention without keys is the mean of all words so far; it
        # carries the two words that are looked for, and nothing else.
        model.model.embed_tokens.weight[:, : len(WORDS)] = torch.eye(len(WORDS))
        layer = model.model.layers[0].self_attn
        layer.o_proj.weight.copy_(torch.eye(SIZE))
        for word in (WRONG, UNCLEAR):
            layer.v_proj.weight[vocabulary[word], vocabulary[word]] = 50.0
        after = model.lm_head.weight
        for now, then in (("0", END), ("1", END), ("maybe", END)):
            after[vocabulary[then], vocabulary[now]] = 10.0
        for first, start in (("1", 5.0), ("0", 4.9), ("maybe", 4.9)):
            after[vocabulary[first], vocabulary[ASSISTANT]] = start
        after[vocabulary["0"], vocabulary[WRONG]] = 1.0
        after[vocabulary["maybe"], vocabulary[UNCLEAR]] = 1.0
    model.save_pretrained(folder)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a server that loads the model that a request names; return its address."""
    log_path = tmp_path_factory.mktemp("served") / "log"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    with log_path.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        ends = time.monotonic() + START_SECONDS
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, log_path.read_text()
            assert time.monotonic() < ends, log_path.read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def test_answers_are_those_of_the_local_runner(served: str, tmp_path: Path) -> None:
    common = {
        "suite": "demo",
        "styles": "demo,none",
        "data": embedded.benchmark(),
        "limit": LIMIT,
        "fit": "pad",
        "model": str(embedded.CHECKPOINT),
        "max_errors": 0.0,
    }
    local = loop.run(
        RunSettings.model_validate(common | {"out": tmp_path / "local", "dtype": "float32"})
    )
    size = local.manifest.image_size
    options = EndpointOptions(base_url=served, max_side=size, concurrency=4)
    asked = loop.run(
        RunSettings.model_validate(
            common | {"runner": "openai", "out": tmp_path / "asked", "endpoint": options}
        )
    )
    assert asked.manifest.image_size == size
    expected = read_responses(local.path / RESPONSES)
    found = read_responses(asked.path / RESPONSES)
    assert found.keys() == expected.keys()
    assert {name: line.pixels for name, line in found.items()} == {
        name: line.pixels for name, line in expected.items()
    }
    differing = {
        name: (expected[name].text, line.text)
        for name, line in found.items()
        if line.text != expected[name].text
    }
    assert differing == {}
    assert {line.state for line in found.values()} == {"answered"}
    assert sum(asked.manifest.answered_by.values()) == len(found)


def test_answers_are_graded_by_a_served_model(served: str, tmp_path: Path) -> None:
    model = str(tmp_path / "model")
    save_model(Path(model))
    own = make_task(tmp_path / "own", n=9, kind="graded", styles="[demo]")
    loop.run(run_settings(own))
    said = {}
    lines = list(files.read_lines(own / "run" / RESPONSES, ResponseLine))
    for number, line in enumerate(lines):
        said[line.id] = ("a cup", "a purple cup", "mumble mumble")[number % 3]
    changed = [line.model_copy(update={"text": f"{said[line.id]} {line.id}"}) for line in lines]
    files.write_lines(own / "run" / RESPONSES, changed)
    bind_again(own / "run")
    endpoint = Endpoint(purpose=JUDGE, url=served, model=model)
    settings = JudgeSettings(endpoint=endpoint, n_runs=2, workers=2)
    score.score(own / "run", judge=settings)
    found = {
        line.id: line
        for line in files.read_lines(own / "run" / SCORES, ScoreLine)
        if line.metric == METRIC
    }
    expected = {"a cup": 1.0, "a purple cup": 0.0, "mumble mumble": None}
    assert {id_: line.value for id_, line in found.items()} == {
        id_: expected[text] for id_, text in said.items()
    }
    reasons = [line.ungraded for line in found.values() if line.value is None]
    assert len(reasons) == 3
    assert all("no score: 5 replies, the last" in (reason or "") for reason in reasons)
    report = read_report(own / "run")
    assert report is not None
    # The server names the revision, too, before transformers 5.24.
    [answered_by] = report.models_returned
    assert answered_by in (model, f"{model}@main")
    assert not report.comparable
    # Six samples in two judge runs, and three that are asked five times in each.
    assert (report.spent.n_calls, report.spent.n_retries) == (12 + 30, 24)
    assert report.spent.n_estimated == 0
    assert report.spent.n_completion_tokens >= 12
    assert report.results[0].mean == pytest.approx(50)
    assert report.results[0].agreement.equal == 1
    score.score(own / "run", judge=settings.model_copy(update={"n_runs": 1}))
    report = read_report(own / "run")
    assert report is not None
    assert report.spent_now.n_calls == 15  # only those without a grade
