import math
import subprocess
import sys
from pathlib import Path

import pytest

from vipbench import files
from vipbench.errors import RunError
from vipbench.runfolder import answers_file, trials_file
from vipbench.runfolder.folder import MANIFEST, REQUESTS, RESPONSES, SUMMARY, remove_run
from vipbench.runfolder.lines import ResponseLine, ScoreLine, TrialId
from vipbench.schema import Request, Trial

UGLY = "line\u2028and\u0085paragraph\nnew"
"""Characters that some functions take for the end of a line."""
PLAN = [(0, 2), (3, 4)]
"""Trial 1 of `trials` cannot be asked."""


def trial(id_: str, *, text: str = "What?", error: str | None = None) -> Trial:
    request = Request(
        task="t",
        style="s",
        id=id_,
        turns=(text, "An answer.", "Why?"),
        image="a.png",
        fit="pad",
        max_new_tokens=8,
        key=f"key of {id_}",
    )
    return Trial(
        task="t",
        style="s",
        id=id_,
        request=None if error else request,
        error=error,
        kind="short_answer",
        target=UGLY,
        group="g",
    )


def trials(folder: Path) -> trials_file.Trials:
    listed = [
        trial("a"),
        trial("b", error="no image"),
        trial("c", text=UGLY),
        trial("d"),
        trial("e"),
    ]
    return trials_file.write_trials(folder / REQUESTS, listed)


def answer(id_: str, batch: int, text: str = UGLY) -> ResponseLine:
    return ResponseLine(text=text, task="t", style="s", id=id_, key=f"key of {id_}", batch=batch)


def responses(folder: Path) -> Path:
    """Write all answers, a batch at a time; return the file."""
    path = folder / RESPONSES
    answers_file.append_responses(path, [answer("a", 0), answer("c", 0)])
    answers_file.append_responses(path, [answer("d", 1), answer("e", 1)])
    return path


def test_trials_are_read_where_they_lie(tmp_path: Path) -> None:
    written = trials(tmp_path)
    assert len(written) == 5
    assert [each.id for each in written] == ["a", "b", "c", "d", "e"]
    assert written.read([3, 0]) == [trial("d"), trial("a")]
    assert written[2] == trial("c", text=UGLY)
    assert written[1:3] == [trial("b", error="no image"), trial("c", text=UGLY)]
    assert written.entries[2].length == len(UGLY + "An answer." + "Why?")
    assert [entry.key for entry in written.entries][:2] == ["key of a", None]


def test_opened_trials_are_those_that_were_written(tmp_path: Path) -> None:
    written = trials(tmp_path)
    opened = trials_file.open_trials(tmp_path / REQUESTS)
    assert opened.entries == written.entries
    assert list(opened) == list(written)


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    found = answers_file.read_responses(responses(tmp_path))
    assert found[TrialId("t", "s", "c")] == answer("c", 0)
    assert len(found) == 4
    assert answers_file.read_responses(tmp_path / "nowhere.jsonl") == {}


def test_the_logarithm_of_nothing_comes_back(tmp_path: Path) -> None:
    path = tmp_path / RESPONSES
    line = answer("a", 0).model_copy(update={"option_logprobs": (-0.5, -math.inf)})
    answers_file.append_responses(path, [line])
    assert answers_file.read_responses(path) == {TrialId("t", "s", "a"): line}


def test_cut_anywhere_the_whole_batches_are_kept(tmp_path: Path) -> None:
    path = responses(tmp_path)
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        done = answers_file.resume_responses(path, PLAN, trials(tmp_path))
        kept = ends[3] if cut >= ends[3] else ends[1] if cut >= ends[1] else 0
        assert path.stat().st_size == kept
        assert done == {ends[3]: {0, 1}, ends[1]: {0}, 0: set()}[kept]


def test_resume_without_answers_starts_at_the_beginning(tmp_path: Path) -> None:
    assert answers_file.resume_responses(tmp_path / RESPONSES, PLAN, trials(tmp_path)) == set()


@pytest.mark.parametrize(
    "line",
    [
        answer("a", 1),
        answer("a", 7),
        answer("a", -1),
        answer("z", 0),
        answer("a", 0).model_copy(update={"key": "another"}),
    ],
    ids=["another batch", "no such batch", "negative batch", "no such sample", "another question"],
)
def test_an_answer_that_was_not_asked_for_is_refused(tmp_path: Path, line: ResponseLine) -> None:
    path = tmp_path / RESPONSES
    answers_file.append_responses(path, [line])
    with pytest.raises(RunError, match=r"responses.jsonl:1: .*does not ask"):
        answers_file.resume_responses(path, PLAN, trials(tmp_path))


def test_the_same_answer_twice_is_refused(tmp_path: Path) -> None:
    path = responses(tmp_path)
    answers_file.append_responses(path, [answer("a", 0)])
    with pytest.raises(RunError, match=r"responses.jsonl:5: "):
        answers_file.resume_responses(path, PLAN, trials(tmp_path))


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = responses(tmp_path)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], b'{"text": 3}', *lines[2:]]))
    with pytest.raises(RunError, match=r"responses.jsonl:2: .*expected a ResponseLine"):
        answers_file.resume_responses(path, PLAN, trials(tmp_path))


def test_a_line_of_another_kind_is_named(tmp_path: Path) -> None:
    trials(tmp_path)
    with pytest.raises(RunError, match=r"requests.jsonl:1: .*expected a ScoreLine"):
        list(files.read_lines(tmp_path / REQUESTS, ScoreLine))


def test_a_missing_run_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        trials_file.open_trials(tmp_path / REQUESTS)
    with pytest.raises(RunError, match="does not exist"):
        files.read_json(tmp_path / MANIFEST)
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(RunError, match="not JSON"):
        files.read_json(tmp_path / MANIFEST)


def test_a_full_disk_loses_nothing_and_is_said() -> None:
    with pytest.raises(RunError, match=r"No space left on device.*go on"):
        answers_file.append_responses(Path("/dev/full"), [answer("a", 0)])


def test_a_disk_that_is_full_midway_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / SUMMARY
    files.write_text(path, ["former"])
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from vipbench import files\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "files.write_text(Path(sys.argv[1]), ['x' * 1000] * 100)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert "RunError" in done.stderr
    assert "cannot be written" in done.stderr
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_put_in_json_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "x.json", {"accuracy": float("nan")})


def test_only_files_of_a_run_are_removed(tmp_path: Path) -> None:
    trials(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    remove_run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_two_processes_do_not_share_a_run_folder(tmp_path: Path) -> None:
    with files.locked(tmp_path / "run"):  # noqa: SIM117  # the second is the one that must fail
        with pytest.raises(RunError, match="another process"), files.locked(tmp_path / "run"):
            pass
    with files.locked(tmp_path / "run"):
        assert (tmp_path / "run").is_dir()


@pytest.mark.parametrize("below", ["", "deep", "deep/deeper"])
def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path, below: str) -> None:
    (tmp_path / "run").write_text("mine")
    said = pytest.raises(RunError, match=r"run: is no folder; expected one, or a new name")
    with said, files.locked(tmp_path / "run" / below):
        pass
    assert (tmp_path / "run").read_text() == "mine"


def test_a_name_that_is_too_long_is_said(tmp_path: Path) -> None:
    said = pytest.raises(RunError, match=r"cannot be written .*name another")
    with said as caught, files.locked(tmp_path / "new" / ("a" * 300)):
        pass
    assert "make room" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_stay_empty_are_removed_again(tmp_path: Path) -> None:
    with pytest.raises(KeyError), files.made(tmp_path / "a" / "b"):
        raise KeyError((tmp_path / "a" / "b").is_dir())
    assert list(tmp_path.iterdir()) == []
    with files.made(tmp_path / "a" / "b"):
        (tmp_path / "a" / "kept.txt").write_text("")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["kept.txt"]
    (tmp_path / "own").mkdir()
    with files.made(tmp_path / "own"):
        pass
    assert (tmp_path / "own").is_dir()


@pytest.mark.parametrize("content", ['{"name": "a web app"}', "[]", "null"])
def test_the_manifest_of_something_else_is_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(RunError, match="is not the manifest of a run"):
        remove_run(tmp_path)
    assert (tmp_path / MANIFEST).read_text() == content


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b'{"accuracy": NaN}', b"\xff"])
def test_what_is_no_json_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SUMMARY).write_bytes(content)
    with pytest.raises(RunError, match="not JSON"):
        files.read_json(tmp_path / SUMMARY)
