"""Lessons: a pure function of the step, built on seen shapes only."""

from random import Random

import numpy as np
import pytest

from vipbench.data.tasks import all_styles
from vipbench.demo.generate import TRAINING_SEED, make
from vipbench.demo.lessons import LOOKS, PHASES, TASKS, Lesson, Lessons
from vipbench.prompts.words import WORDS


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> Lessons:
    return Lessons(make(tmp_path_factory.mktemp("lessons"), 16, TRAINING_SEED), 64, seed=0)


def same(one: Lesson, other: Lesson) -> bool:
    texts = one._replace(pixels=None) == other._replace(pixels=None)
    return texts and np.array_equal(np.asarray(one.pixels), np.asarray(other.pixels))


def test_a_batch_depends_on_its_step_alone(lessons: Lessons) -> None:
    step = PHASES[0].steps + PHASES[1].steps
    first = lessons.batch(step, 8)
    lessons.batch(3, 8)
    assert all(map(same, first, lessons.batch(step, 8)))
    assert not all(map(same, first, lessons.batch(step + 1, 8)))


def test_the_phases_teach_every_task(lessons: Lessons) -> None:
    assert set(TASKS) <= {kind for phase in PHASES for kind in phase.weights}
    assert all(abs(sum(phase.weights.values()) - 1) < 1e-9 for phase in PHASES)
    assert {lesson.kind for lesson in lessons.batch(0, 20)} == {"lookup"}


def test_unseen_shapes_are_in_no_lesson(lessons: Lessons) -> None:
    unseen = {WORDS[shape][1] for shape in all_styles()["demo_unseen"].shapes}
    assert unseen == {"triangle", "mask"}
    rng = Random(0)
    kinds = {kind for phase in PHASES for kind in phase.weights}
    for kind in sorted(kinds):
        for _ in range(40):
            lesson = lessons.lesson(kind, rng)
            words = lesson.text.replace("mask contour", "").replace("\n", " ").split(" ")
            assert not unseen & {word.strip(".?,") for word in words}, lesson.text


def test_an_option_that_is_looked_up_answers_its_question(lessons: Lessons) -> None:
    rng = Random(1)
    for _ in range(200):
        lesson = lessons.lesson("lookup", rng)
        question, *options = lesson.text.split("\n")[:5]
        if lesson.answer in "ABCD":
            letter, value = lesson.answer, question.removeprefix("Which is ").removesuffix("?")
        else:
            letter, value = question.removeprefix("What is ").removesuffix("?"), lesson.answer
        assert [option[0] for option in options if value in option] == [letter]


def test_a_look_tells_what_is_in_each_cell(lessons: Lessons) -> None:
    seen = set()
    for look in lessons.looks(0, 40):
        assert look.pixels.shape == (64, 64, 3)
        for shape, color, mark, mark_color in look.cells.tolist():
            assert (shape > 0) == (color > 0)
            assert (mark > 0) == (mark_color > 0)
            assert shape > 0 or mark == 0
            seen.add((LOOKS[2][mark], LOOKS[3][mark_color]))
    style = all_styles()["demo"]
    assert {shape for shape, _ in seen} == {"", *style.shapes}
    assert {color for _, color in seen} == {"", *style.colors}
