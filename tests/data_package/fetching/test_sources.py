from pathlib import Path

import pytest

from vipbench.data.cache import FETCHED
from vipbench.data.fetching.fetch import fetch
from vipbench.data.fetching.lock import status
from vipbench.data.fetching.sources import STAGE, find_sources, load_source, steps_by_hand
from vipbench.data.locate import KEYS, OTHER_KEYS
from vipbench.data.tasks import find_tasks
from vipbench.errors import DataError, TaskError


def test_each_key_has_a_source_and_no_source_is_a_task() -> None:
    assert set(find_sources()) == {*KEYS, *OTHER_KEYS}
    assert not set(find_tasks()) & set(find_sources())
    for key in (*KEYS, *OTHER_KEYS):
        source = load_source(key)
        assert set(source.tasks) <= set(find_tasks())
        assert source.by_hand or all(
            file.hub or (file.url and file.url.startswith("http"))
            for part in source.parts.values()
            for file in part.files
        )


def write_source(folder: Path, text: str, key: str = "toy") -> Path:
    (folder / "sources").mkdir(parents=True, exist_ok=True)
    (folder / "sources" / f"{key}.yaml").write_text(text)
    return folder


GOOD = "title: t\nparts: {p: {title: t, licence: l, files: [{url: 'http://x/y', to: y}]}}\n"


def test_a_source_of_ones_own(tmp_path: Path) -> None:
    assert load_source("toy", [write_source(tmp_path, "key: toy\n" + GOOD)]).title == "t"
    with pytest.raises(TaskError, match="data 'toi': no source is known · did you mean 'toy'"):
        load_source("toi", [tmp_path])
    write_source(tmp_path, "key: vcr\n" + GOOD, "vcr")
    with pytest.raises(TaskError, match=r"the name 'vcr' is taken by .*vcr\.yaml"):
        find_sources([tmp_path])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("key: other\n" + GOOD, "key 'other' is not the file's name 'toy'"),
        ("key: toy\ntitle: t\nparts: 3\n", "line 3: parts = 3"),
        ("key: toy\nnonsense: 1\n" + GOOD, "unknown key 'nonsense'"),
        ("key: toy\n" + GOOD.replace("to: y", "to: ../y"), "leaves the folder of the data"),
        ("key: toy\n" + GOOD.replace("to: y", f"to: {STAGE}/y"), "leaves the folder of the data"),
        ("key: toy\n" + GOOD.replace("url: 'http://x/y'", "hub: a/b"), "needs 'take' and the full"),
        ("key: toy\n" + GOOD.replace("url: 'http://x/y', ", ""), "names neither 'url' nor 'hub'"),
        ("key: toy\n" + GOOD.replace("to: y", "to: y, hub: a/b"), "takes either 'url' or 'hub'"),
        ("key: toy\n" + GOOD.replace("to: y", f"to: {FETCHED}"), "leaves the folder of the data"),
        ("key: toy\n" + GOOD.replace("to: y", "to: ."), "names no file"),
        ("key: toy\n" + GOOD.replace("to: y", "to: y, size: 0"), "size"),
        ("key: toy\n" + GOOD.replace("[{", "[], x: [{"), "files"),
    ],
)
def test_mistakes_in_a_source(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TaskError) as caught:
        load_source("toy", [write_source(tmp_path, text)])
    assert said in str(caught.value)
    assert str(tmp_path / "sources/toy.yaml") in str(caught.value)


def test_a_licence_to_accept_by_hand(tmp_path: Path) -> None:
    source = load_source("vcr")
    with pytest.raises(DataError, match="must be accepted by hand · see https://visualcommonsense"):
        fetch(source, tmp_path)
    steps = "\n".join(steps_by_hand(source, tmp_path))
    for part in ("visualcommonsense.com/download", "vcr1annots.zip", "vcr1images.zip"):
        assert part in steps
    assert f"vipbench check vcr_qa --data vcr={tmp_path}" in steps
    assert {part.state for part in status(source, tmp_path)} == {"by hand"}
