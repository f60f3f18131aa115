"""Runner `openai` from end to end: the embedded checkpoint behind `transformers serve`."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from vipbench.demo import embedded
from vipbench.run import loop
from vipbench.run.settings import RunSettings
from vipbench.runfolder.answers_file import read_responses
from vipbench.runfolder.folder import RESPONSES
from vipbench.runners.endpoint_options import EndpointOptions

START_SECONDS = 120
LIMIT = 6
"""Samples of each task, under two styles each."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the server with the embedded checkpoint; return its address."""
    log_path = tmp_path_factory.mktemp("served") / "log"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve"]
    command += [str(embedded.CHECKPOINT), "--host", "127.0.0.1", "--port", str(port)]
    with log_path.open("w") as log:
        process = subprocess.Popen(
            [*command, "--device", "cpu", "--dtype", "float32"], stdout=log, stderr=log
        )
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
