"""What is taken out of texts, and what is left as it is."""

import socket
from pathlib import Path

import pytest

from vipbench.errors import RunError
from vipbench.kit.scrub import Scrubber


@pytest.fixture
def scrubber(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scrubber:
    """Be alice on a machine lab-gpu-7.example.org."""
    home = tmp_path / "home" / "alice"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for name in ("USER", "LOGNAME"):
        monkeypatch.setenv(name, "alice")
    monkeypatch.setattr(socket, "gethostname", lambda: "lab-gpu-7.example.org")
    monkeypatch.chdir(home)
    return Scrubber.of_machine([Path("/mnt/benchmarks/vcr")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HOME/ckpt/model.bin: is broken", "<path>/ckpt/model.bin: is broken"),
        ("/mnt/benchmarks/vcr/a.jpg does not exist", "<path>/a.jpg does not exist"),
        ("see /opt/models/7b and ~/notes.txt", "see <path> and <path>"),
        (r"C:\Users\alice\x is gone", "<path> is gone"),
        ("lab-gpu-7.example.org said no", "<host> said no"),
        ("on lab-gpu-7, alice", "on <host>, <user>"),
        ("malice and alices", "malice and alices"),
        ("images/2371.jpg does not exist", "images/2371.jpg does not exist"),
        ("yes/no, 3/4 · https://example.org/a.zip", "yes/no, 3/4 · https://example.org/a.zip"),
    ],
)
def test_texts(scrubber: Scrubber, text: str, expected: str) -> None:
    assert scrubber.text(text.replace("HOME", str(Path.home()))) == expected


def test_what_a_model_wrote_stays(scrubber: Scrubber) -> None:
    line = {"text": "/opt/models", "answer": "/opt/models", "error": "/opt/models: gone", "n": 1}
    assert scrubber.plain([line]) == [line | {"error": "<path>: gone"}]
    assert scrubber.plain({"identity": {"x": "/opt/a"}}, keep=("identity",)) == {
        "identity": {"x": "/opt/a"}
    }


def test_a_path_that_is_left_is_refused(scrubber: Scrubber) -> None:
    scrubber.check("run/answers.jsonl", {"text": f"{Path.home()}", "id": "q1"})
    with pytest.raises(RunError, match=r"run/manifest.json: a\.b holds a path of this machine"):
        scrubber.check("run/manifest.json", {"a": {"b": [f"x {Path.home()}/y"]}})
