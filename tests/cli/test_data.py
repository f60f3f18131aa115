import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from tests.servers import Served, Server, serving
from vipbench.data.cache import FETCHED
from vipbench.data.locate import KEYS, OTHER_KEYS
from vipbench.demo.generate import make

SOURCE = """\
key: toy
title: A toy
parts:
  questions:
    title: questions
    licence: CC0
    files: [{{url: "{url}/signs.jsonl", to: signs.jsonl}}]
  images:
    title: images
    licence: CC0
    files: [{{url: "{url}/images.zip", unpack: true, to: images, about: 1000}}]
"""
TASK = "name: signs\nversion: 1\ntitle: t\nkind: choice\ndata: toy\nreader: jsonl\nstyles: [none]\n"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve a set of three questions; its description and a task lie in the folder `mine`."""
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path / "cache"))
    demo = make(tmp_path / "demo", 2)
    picture = next((demo / "visual7w/v7w").iterdir())
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.write(picture, "top/1.png")
    question: dict[str, object] = {
        "image": "images/1.png",
        "question": "Which?",
        "box": [1, 1, 20, 20],
        "choices": ["a", "b"],
        "answer": "a",
    }
    with serving() as server:
        lines = "".join(json.dumps({**question, "id": str(n)}) + "\n" for n in range(3))
        server.files["/signs.jsonl"] = Served(lines.encode())
        server.files["/images.zip"] = Served((tmp_path / "images.zip").read_bytes())
        (tmp_path / "mine/sources").mkdir(parents=True)
        (tmp_path / "mine/sources/toy.yaml").write_text(SOURCE.format(url=server.url))
        (tmp_path / "mine/signs.yaml").write_text(TASK)
        yield server


def test_ls_lists_the_parts_of_every_set(vipbench: Vipbench) -> None:
    ran = vipbench("data", "ls")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].split() == ["key", "part", "size", "state", "folder", "licence"]
    assert {line.split()[0] for line in lines[1:]} == {*KEYS, *OTHER_KEYS}
    assert "raw (optional)" in ran.out
    assert "about 40.9 MB" in ran.out
    assert "by hand" in next(line for line in lines if line.startswith("vcr"))


def test_ls_as_json(vipbench: Vipbench) -> None:
    entries = json.loads(vipbench("data", "ls", "--json").out)
    assert {entry["key"] for entry in entries} == {*KEYS, *OTHER_KEYS}
    images = next(
        entry for entry in entries if (entry["key"], entry["part"]) == ("visual7w", "images")
    )
    assert images["size"] == 1_860_148_318
    assert images["folder"] is None


def test_from_nothing_to_a_checked_task(vipbench: Vipbench, server: Server, tmp_path: Path) -> None:
    mine = ("--include", "mine")
    ran = vipbench("check", "signs", *mine)
    assert ran.code == 2
    assert "data 'toy': not found anywhere" in ran.out
    ran = vipbench("data", "locate", "toy", *mine)
    assert ran.code == 2
    assert "`vipbench data fetch toy`" in ran.err
    folder = tmp_path / "cache/data/toy"
    ran = vipbench("data", "fetch", "toy", *mine)
    assert (ran.code, ran.out) == (0, f"--data toy={folder}\n")
    assert "licence: CC0" in ran.err
    assert "B/s" in ran.err  # a bar
    ran = vipbench("data", "locate", "toy", *mine)
    assert ran == (0, f"--data toy={folder}\n", "")
    rows = [line.split() for line in vipbench("data", "ls", *mine).out.splitlines()]
    assert ["toy", "images", "about", "1", "kB", "complete", str(folder), "CC0"] in rows
    ran = vipbench("check", "signs", *mine)  # without --data
    assert (ran.code, ran.err) == (0, "")
    assert "3 records" in ran.out
    ran = vipbench("data", "fetch", "toy", *mine)
    assert ran.code == 0
    assert "unchanged since" in ran.err


def test_parts_and_another_folder(vipbench: Vipbench, server: Server, tmp_path: Path) -> None:
    mine = ("--include", "mine")
    ran = vipbench("data", "fetch", "toy", "--part", "questions", "-o", "some where", *mine)
    assert (ran.code, ran.out) == (0, f"--data 'toy={tmp_path}/some where'\n")
    assert {path.name for path in (tmp_path / "some where").iterdir()} == {"signs.jsonl", FETCHED}
    ran = vipbench("data", "fetch", "toy", "--part", "question", *mine)
    assert ran.code == 2
    assert "did you mean 'questions'?" in ran.err
    assert vipbench("data", "fetch", "toy", "--part", "questions", *mine).code == 0
    ran = vipbench("data", "locate", "toy", *mine)
    assert ran.code == 0
    assert ran.err == "toy images: not fetched\n"


def test_changed_content_is_an_error_of_one_line(
    vipbench: Vipbench, server: Server, tmp_path: Path
) -> None:
    command = ("data", "fetch", "toy", "-o", "out", "--include", "mine")
    assert vipbench(*command, "--keep-archives").code == 0
    assert (tmp_path / "out/archives/images.zip").is_file()
    (tmp_path / "out/signs.jsonl").unlink()
    server.files["/signs.jsonl"] = Served(b"{}", etag='"v2"')
    ran = vipbench(*command)
    assert ran.code == 2
    assert ran.out == ""
    last = ran.err.splitlines()[-1]
    assert "has changed since it was fetched" in last
    assert "--accept-changed takes it" in last
    assert vipbench(*command, "--accept-changed").code == 0
    assert (tmp_path / "out/signs.jsonl").read_bytes() == b"{}"


def test_vcr_is_fetched_by_hand(
    vipbench: Vipbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path / "cache"))
    ran = vipbench("data", "fetch", "vcr")
    assert ran.code == 2
    assert ran.err.startswith("error: vcr: not fetched, since a licence must be accepted by hand")
    folder = tmp_path / "cache/data/vcr"
    for part in ("https://visualcommonsense.com/download", "vcr1annots.zip", "vcr1images.zip"):
        assert part in ran.out
    # The steps, followed: what they lead to is found, by the commands that they name.
    demo = make(tmp_path / "demo", 2)
    folder.parent.mkdir(parents=True)
    (demo / "vcr").rename(folder)
    ran = vipbench("data", "fetch", "vcr")
    assert (ran.code, ran.out) == (0, f"--data vcr={folder}\n")
    assert vipbench("data", "locate", "vcr").code == 0
    assert vipbench("check", "vcr_qa").code == 0
    entries = json.loads(vipbench("data", "ls", "--json").out)
    states = {entry["state"] for entry in entries if entry["key"] not in OTHER_KEYS}
    assert states == {"in place", "not fetched"}
    ran = vipbench("data", "fetch", "vcr", "-o", "elsewhere")
    assert "--data vcr=elsewhere" in ran.out


def test_what_belongs_to_one_key(vipbench: Vipbench) -> None:
    for option in (("-o", "x"), ("--part", "images")):
        ran = vipbench("data", "fetch", "visual7w", "pointqa", *option)
        assert ran.code == 2
        assert "applies to one key only, not to visual7w, pointqa" in ran.err


def test_an_unknown_key(vipbench: Vipbench) -> None:
    for command in ("fetch", "locate"):
        ran = vipbench("data", command, "visual7v")
        assert ran.code == 2
        assert ran.err == (
            "error: data 'visual7v': no source is known · did you mean 'visual7w'?\n"
        )
    ran = vipbench("check", "visual7w_pointing")
    assert "or `vipbench data fetch visual7w`" in ran.out
