"""Chat templates end, whatever is in them, and write the same prompt on any day."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from vipbench.errors import RunnerError
from vipbench.runners import templates
from vipbench.runners.prompt_formats import conversation
from vipbench.runners.templates import ChatTemplate, as_template, choose_template


def render(template: str) -> str:
    return ChatTemplate(template, "x/chat_template.jinja").render(conversation(["t"]), {})


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a\n{{ 1/0 }}", r"the template failed \(line 2: ZeroDivisionError: division by zero\)"),
        ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "calls itself without end"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "calls itself .*, or is nested too deeply"),
        ("{% for i in range(99999999) %}{% endfor %}", "Range too big"),
        ("{{ unknown.name }}", r"line 1: 'unknown' is undefined"),
        ("a\n\n{% if %}", "line 3: Expected an expression"),
        ("{{ 'a' | nothing }}", "No filter named 'nothing'"),
        ("{% include 'x' %}", "no loader"),
        ("{{ raise_exception('no\nsystem') }}", r"it refuses the conversation: no system\)"),
        ("{{ '\\ud800' }}", "surrogates not allowed"),
        ("{{ ''.__class__.__mro__ }}", "is unsafe"),
        ("{{ [1, 2] | random }}", "draws at random"),
        ("{{ lipsum() }}", "draws at random"),
        ("{% for i in range(99999) %}{{ 'a' * 99 }}{% endfor %}", "more than 1,000,000 characters"),
    ],
)
def test_what_fails_is_said_in_a_line(template: str, message: str) -> None:
    with pytest.raises(RunnerError, match=rf"^x/chat_template\.jinja: .*{message}.* · expected"):
        render(template)
    assert render("still {{ 'there' }}") == "still there"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux")
@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 9999999999 }}",
        "{{ '%9999999999d' | format(1) }}",
        "{{ '{:9999999999}'.format(1) }}",
        "{{ range(99999) | join('a' * 99999) }}",
        "{{ ('a' * 99999) | replace('a', 'b' * 99999) }}",
        "{% set n = namespace(x='aaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}"
        "{% endfor %}",
    ],
)
def test_memory_has_an_end(template: str) -> None:
    with pytest.raises(RunnerError, match="needs more than 512 MiB of memory"):
        render(template)


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 9 ** (9 ** 9) }}",
    ],
)
def test_time_has_an_end(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "SECONDS", 2)
    start = time.monotonic()
    with pytest.raises(RunnerError, match=r"jinja: does not end within 2 s · expected"):
        render(template)
    assert time.monotonic() - start < 8
    monkeypatch.undo()
    assert render("a new process") == "a new process"


def test_a_process_that_is_killed_is_started_again() -> None:
    render("x")
    process = templates._renderer._process
    assert process is not None
    process.kill()
    process.wait()
    assert render("again") == "again"


def test_threads_and_forks_do_not_mix_their_answers() -> None:
    with ThreadPoolExecutor(4) as pool:
        texts = [f"text {i}" for i in range(50)]
        assert list(pool.map(render, texts)) == texts
    code = (
        "import os\n"
        "from vipbench.runners.templates import ChatTemplate\n"
        "say = lambda text: ChatTemplate(text).render([], {})\n"
        "assert say('parent') == 'parent'\n"
        "child = os.fork()\n"
        "texts = [f'{child == 0} {i}' for i in range(50)]\n"
        "assert [say(text) for text in texts] == texts\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_process_ends_with_its_parent() -> None:
    code = (
        "from vipbench.runners import templates\n"
        "templates.ChatTemplate('x').render([], {})\n"
        "print(templates._renderer._process.pid, flush=True)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    pid = int(made.stdout)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("the process is still there")


def test_it_is_always_the_same_day(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = ChatTemplate("{{ strftime_now('%d %b %Y %H:%M:%S %s %A') }}")
    assert asking.date == "2024-07-26"
    assert ChatTemplate("{{ now }}").date is None
    for zone, language in (("Asia/Tokyo", "de_DE.UTF-8"), ("America/Lima", "C")):
        monkeypatch.setenv("TZ", zone)
        monkeypatch.setenv("LC_ALL", language)
        monkeypatch.setattr(templates, "_renderer", templates._Renderer())  # a process of its own
        assert asking.render([], {}) == "26 Jul 2024 00:00:00 1721952000 Friday"


def test_one_of_several_templates_is_taken_by_its_name() -> None:
    named = [{"name": "tool_use", "template": "b"}, {"name": "default", "template": "a"}]
    for value in ("a", named, {"default": "a", "rag": "c"}):
        assert choose_template(value, "here") == ChatTemplate("a", "here")
    assert choose_template(None, "here") is None
    assert choose_template("", "here") is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (5, "5"),
        (["a"], "a list of templates named nothing"),
        ([{"name": "rag", "template": "a"}], "a list of templates named 'rag'"),
        ({"default": None}, "a list of templates named 'default'"),
    ],
)
def test_what_is_no_template_is_refused(value: object, shown: str) -> None:
    with pytest.raises(RunnerError, match=f"^here: chat_template is {shown} · expected the text"):
        choose_template(value, "here")


def test_a_text_can_be_written_as_a_template() -> None:
    text = "a\r\n\"b\" \\n '{{ x }}' {% raw %} \x7f\t ä 語 🙂\u2028\n"
    assert render(as_template(text)) == text
