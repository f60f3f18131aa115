"""The package as others see it: public names, versions, requirements, files that travel."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import vipbench

REPO = Path(__file__).parent.parent
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))


def read_pins(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


PINS = read_pins(REPO / "constraints.txt")
LOWEST = read_pins(REPO / "tests" / "versions" / "lowest.txt")


def requirements() -> list[Requirement]:
    project = PROJECT["project"]
    extras = project["optional-dependencies"].values()
    listed = [*project["dependencies"], *(each for extra in extras for each in extra)]
    found = [Requirement(each) for each in (*listed, *PROJECT["build-system"]["requires"])]
    return [each for each in found if each.name != "vipbench"]  # an extra that names another


def test_public_names() -> None:
    assert vipbench.__all__ == [
        "DataSource",
        "Problem",
        "PromptChoices",
        "PromptStyle",
        "Region",
        "Request",
        "Response",
        "Results",
        "Sample",
        "Score",
        "TaskSpec",
        "TrainerCallback",
        "VipbenchError",
        "VisualPrompt",
        "build_request",
        "evaluate",
        "extract_answer",
        "load_samples",
        "load_task",
        "parse_styles",
        "render",
    ]
    assert set(vipbench.__all__) <= set(dir(vipbench))


@pytest.mark.parametrize("name", vipbench.__all__)
def test_a_public_name_is_there_and_says_what_it_is(name: str) -> None:
    public = getattr(vipbench, name)
    assert public.__module__.startswith("vipbench.")
    assert public.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        vipbench.evaluat  # noqa: B018


def test_one_version() -> None:
    assert importlib.metadata.version("vipbench") == vipbench.__version__
    changelog = (REPO / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[(.+?)\]", changelog, re.MULTILINE)
    assert newest
    assert newest[1] == vipbench.__version__


def test_every_release_opens_with_scores_changed() -> None:
    changelog = (REPO / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[.+?\].*\n\n(.*)$", changelog, re.MULTILINE)
    assert releases
    assert set(releases) == {"### Scores changed"}


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_each_requirement_is_pinned_within_its_range(requirement: Requirement) -> None:
    pins = {canonicalize_name(name): version for name, version in PINS.items()}
    assert pins[canonicalize_name(requirement.name)] in requirement.specifier


@pytest.mark.parametrize("name", ["transformers", "huggingface_hub"])
def test_the_lowest_version_that_is_allowed_is_tested(name: str) -> None:
    [requirement] = [each for each in requirements() if each.name == name]
    [lowest] = [each.version for each in requirement.specifier if each.operator == ">="]
    assert Version(LOWEST[name]) == Version(lowest)


def test_the_newest_transformers_that_is_allowed_is_tested() -> None:
    [requirement] = [each for each in requirements() if each.name == "transformers"]
    [above] = [each.version for each in requirement.specifier if each.operator == "<"]
    newest = Version(PINS["transformers"])
    assert Version(above) == Version(f"{newest.major}.{newest.minor + 1}")


def test_pins_have_no_build_tag() -> None:
    assert not [f"{name}=={version}" for name, version in PINS.items() if "+" in version]


def test_the_command_is_the_one_of_the_package() -> None:
    [command] = importlib.metadata.entry_points(group="console_scripts", name="vipbench")
    assert command.value == "vipbench.cli:main"
    script = Path(sys.executable).with_name("vipbench")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"vipbench {vipbench.__version__}\n"


def test_folders_that_travel_in_the_wheel_exist() -> None:
    travel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert travel == {"tasks": "vipbench/_tasks", "results/reference": "vipbench/_reference"}
    for folder in travel:
        assert any((REPO / folder).iterdir())


def test_checkpoints_fit_into_a_repository() -> None:
    files = [path for path in (REPO / "vipbench/demo/checkpoints").rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == {"vipllava-demo", "vipllava-demo-early"}
    assert sum(path.stat().st_size for path in files) <= 12_000_000
