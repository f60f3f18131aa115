from collections import Counter
from pathlib import Path

import pytest

from tests.prompts.made import pair
from tests.runs import make_task
from vipbench.data.tasks import all_styles
from vipbench.errors import DataError
from vipbench.prompts import controls
from vipbench.prompts.controls import GRID, permuted, shuffled, wrong
from vipbench.prompts.expressions import parse_styles
from vipbench.prompts.request import build_request
from vipbench.schema import Box, DataSource, PromptStyle, Region, Sample
from vipbench.trials.make import make_trials
from vipbench.trials.selection import select

BOXES: tuple[Box, ...] = ((10, 10, 30, 40), (50, 60, 90, 70), (100, 5, 120, 25))


def corners(box: Box) -> tuple[tuple[float, float], ...]:
    return (box[0], box[1]), (box[2], box[1]), (box[2], box[3])


def sample(n: int = 3, **fields: object) -> Sample:
    regions = tuple(
        Region(box=box, polygons=(corners(box),), label=f"thing{i}")
        for i, box in enumerate(BOXES[:n])
    )
    known: dict[str, object] = {
        "id": "1",
        "image": "1.png",
        "image_size": (200, 100),
        "question": "Where is <r0>?",
        "choices": ("<r0>", "<r1>", "it", "that") if n > 1 else (),
        "target": "B" if n > 1 else "x",
        "regions": regions,
        "group": "1",
        "choice_ids": ("7", "8", "9", "10") if n > 1 else (),
    }
    return Sample.model_validate(known | fields)


def boxes(of: Sample) -> list[Box]:
    return [region.box for region in of.regions]


def test_wrong_exchanges_the_marks_cyclically_and_nothing_else() -> None:
    changed = wrong(sample(), 0)
    assert boxes(changed) == [BOXES[1], BOXES[2], BOXES[0]]
    assert [region.label for region in changed.regions] == ["thing0", "thing1", "thing2"]
    assert changed.regions[0].polygons == sample().regions[1].polygons
    assert changed.model_copy(update={"regions": sample().regions}) == sample()


def overlap(a: Box, b: Box) -> float:
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    return max(0, across) * max(0, down)


@pytest.mark.parametrize(
    "box",
    [
        (10, 10, 30, 40),
        (0, 0, 120, 100),
        (80, 30, 120, 70),
        (-20, 5, 50, 60),
        (0, 0, 200, 100),
        (0, 30, 200, 60),
        (0, 45, 200, 90),
    ],
)
def test_a_lone_wrong_mark_is_as_large_and_elsewhere(box: Box) -> None:
    of = sample(1, regions=(Region(box=box, polygons=(((box[0], box[1]), (50, 50), (60, 70)),)),))
    [region] = wrong(of, 0).regions
    x0, y0, x1, y1 = region.box
    assert (x1 - x0, y1 - y0) == pytest.approx((box[2] - box[0], box[3] - box[1]))
    assert x0 >= 0
    assert y0 >= 0
    assert x1 <= 200
    assert y1 <= 100
    assert region.polygons[0][0] == pytest.approx((x0, y0))
    width, height = box[2] - box[0], box[3] - box[1]
    least = min(
        overlap(box, (x, y, x + width, y + height))
        for x in (i * (200 - width) / (GRID - 1) for i in range(GRID))
        for y in (i * (100 - height) / (GRID - 1) for i in range(GRID))
    )
    assert overlap(box, region.box) == pytest.approx(least)


def test_a_lone_wrong_mark_lies_on_a_grid_that_reaches_from_side_to_side() -> None:
    of = sample(1)
    x0, _, x1, _ = of.regions[0].box
    width, _ = of.image_size or (0, 0)
    lefts = {round(boxes(wrong(of, seed))[0][0], 6) for seed in range(60)}
    steps = [i * (width - (x1 - x0)) / (GRID - 1) for i in range(GRID)]
    assert lefts <= {round(step, 6) for step in steps}
    assert any(left % 1 for left in lefts)


def test_a_lone_wrong_mark_lies_at_random_places_by_seed() -> None:
    places = {boxes(wrong(sample(1), seed))[0] for seed in range(20)}
    assert len(places) > 10
    assert wrong(sample(1), 3) == wrong(sample(1), 3)


def test_shuffled_takes_regions_of_other_images_scaled() -> None:
    pool = [
        sample(1, id="2", group="2", image_size=(400, 400)),
        sample(1, id="3", group="1"),
        sample(1, id="4", group="4", image_size=None),
        None,
    ]
    changed = shuffled(sample(), 0, lambda number: pool[number % len(pool)])
    # 400 x 400 -> 200 x 100; the same image and unusable ones are passed over.
    assert boxes(changed) == [(5, 2.5, 15, 10)] * 3
    assert [region.label for region in changed.regions] == ["thing0", "thing1", "thing2"]
    with pytest.raises(DataError, match="no regions of other images"):
        shuffled(sample(), 0, lambda number: sample())


def test_shuffled_asks_for_the_same_numbers_in_every_version() -> None:
    asked: list[int] = []

    def other(number: int) -> Sample | None:
        asked.append(number)
        return sample(1, id="2", group="2") if len(asked) > 1 else None

    shuffled(sample(1), 5, other)
    assert asked == [1142674791401074, 2317114536625985]


def test_wrong_exchanges_and_moves_marks_within_each_of_several_images() -> None:
    of = pair(1, 0, 1, 1)
    changed = wrong(of, 0)
    assert [region.image for region in changed.regions] == [1, 0, 1, 1]
    assert [region.label for region in changed.regions] == [f"thing {k}" for k in range(4)]
    own, moved = boxes(of), boxes(changed)
    assert [moved[k] for k in (0, 2, 3)] == [own[2], own[3], own[0]]
    alone = sample(1, image_size=(100, 50), regions=(Region(box=own[1]),))
    assert moved[1] == boxes(wrong(alone, 0))[0]
    # In the frame of the second image, 40 x 80 px, and by a draw of its own.
    places = [boxes(wrong(pair(0, 1), seed)) for seed in range(20)]
    assert all(0 <= x0 <= x1 <= 40 and 0 <= y0 <= y1 <= 80 for _, (x0, y0, x1, y1) in places)
    assert max(y1 for _, (_, _, _, y1) in places) > 50
    with pytest.raises(DataError, match="the image's size is unknown"):
        wrong(pair(0, image_size=None, image_sizes=()), 0)


def test_shuffled_borrows_for_each_of_several_images_from_those_in_its_place() -> None:
    theirs = {"images": ("3.png", "4.png"), "image_sizes": ((200, 100), (80, 80))}
    pool = [
        pair(0, 1, 1, id="2", group="2", **theirs),
        pair(0, 0, 1, id="3", group="1", **theirs),
        pair(1, id="4", group="4", images=("5.png", "1.png")),
        None,
    ]
    changed = shuffled(pair(1, 1, 0), 0, lambda number: pool[number % len(pool)])
    # 200 x 100 -> 100 x 50 and 80 x 80 -> 40 x 80; passed over are the same group, an image that
    # the question shows itself and an unusable one.
    assert boxes(changed) == [(5, 5, 9, 20), (10, 5, 14, 20), (0, 2.5, 4, 10)]
    assert [region.image for region in changed.regions] == [1, 1, 0]
    assert [region.label for region in changed.regions] == ["thing 0", "thing 1", "thing 2"]
    # One image is borrowed from like a first one, and borrows from first ones.
    alone = sample(1, id="5", group="5", image="9.png", regions=(Region(box=(20, 10, 60, 50)),))
    assert boxes(shuffled(pair(0), 0, lambda number: alone)) == [(10, 5, 30, 25)]
    assert boxes(shuffled(alone, 0, lambda number: pool[0])) == [(0, 5, 8, 20)]
    with pytest.raises(
        DataError, match=r"of other images in the place of image 1, 2 in 1000 draws"
    ):
        shuffled(pair(1, 0), 0, lambda number: [*pool[1:], alone][number % 4])


def test_permuted_keeps_every_options_mark_and_the_right_one_right() -> None:
    of = sample()
    letters: Counter[str] = Counter()
    for id_ in map(str, range(200)):
        changed = permuted(of.model_copy(update={"id": id_}), 0, None)
        assert sorted(changed.choices) == sorted(of.choices)
        place = "ABCD".index(changed.target)
        assert changed.choices[place] == "<r1>"
        assert changed.choice_ids[place] == "8"
        assert changed.regions == of.regions
        letters[changed.target] += 1
    assert min(letters.values()) > 30
    assert permuted(of, 1, None) == permuted(of, 1, None)


@pytest.mark.parametrize(("shift", "target"), [(1, "C"), (2, "D"), (3, "A"), (4, "B")])
def test_all_cyclic_orders(shift: int, target: str) -> None:
    changed = permuted(sample(), 0, shift)
    assert changed.target == target
    assert changed.choices["ABCD".index(target)] == "<r1>"


def test_the_text_follows_the_options_and_the_color_its_region() -> None:
    styles = {s.name: s for s in parse_styles("rotated_1", all_styles(), _demo())}
    changed = permuted(sample(), 0, 1)
    request = build_request(changed, styles["rotated_1"], 0)
    plain = build_request(sample(), _demo(), 0)
    lines = request.turns[0].splitlines()
    assert [line[3:] for line in lines[1:5]] == [
        plain.turns[0].splitlines()[1 + place][3:] for place in (3, 0, 1, 2)
    ]
    assert request.visual_prompts == plain.visual_prompts


def _demo() -> PromptStyle:
    return parse_styles("demo", all_styles())[0]


def test_the_controls_are_styles_of_a_run(tmp_path: Path) -> None:
    folder = make_task(tmp_path, n=12)
    trials = {}
    for limit in (None, 5):
        chosen = select(
            tasks=["own"],
            styles="demo,wrong,shuffled,permuted,cyclic",
            data={},
            include=(folder,),
        )
        for trial in make_trials(chosen, list, seed=0, limit=limit)[0]:
            trials[limit, trial.style, trial.id] = trial
    styles = {style for _, style, _ in trials}
    assert styles == {
        "demo",
        "wrong",
        "shuffled",
        "permuted",
        "rotated_1",
        "rotated_2",
        "rotated_3",
    }
    # What is asked of a sample does not depend on the others that are asked.
    for (limit, style, id_), trial in trials.items():
        if limit == 5:
            assert trial == trials[None, style, id_]
    for id_ in {id_ for _, _, id_ in trials}:
        demo, moved = trials[None, "demo", id_].request, trials[None, "wrong", id_].request
        assert demo is not None
        assert moved is not None
        assert demo.turns == moved.turns
        [here], [there] = demo.visual_prompts, moved.visual_prompts
        assert (here.color, here.shape, here.width) == (there.color, there.shape, there.width)
        assert here.region != there.region
    for (limit, style, id_), trial in trials.items():
        if style == "rotated_1":
            before = trials[limit, "demo", id_].tags["position"][0]
            assert trial.tags["position"] == ("ABC"["ABC".index(before) - 2],)


def test_controls_that_do_not_suit_a_task_are_left_out_and_told(tmp_path: Path) -> None:
    folder = make_task(tmp_path, kind="short_answer")
    chosen = select(tasks=["own"], styles="demo,permuted", data={}, include=(folder,))
    assert [style.name for style in chosen.tasks[0].styles] == ["demo"]
    assert chosen.notes == ("own: style permuted left out, since it has no options",)
    source = DataSource(
        Path(__file__).parent.parent / "data/vip_bench",
        Path(__file__).parent.parent / "data/vip_bench",
    )
    chosen = select(tasks=["vip_bench_bbox"], styles="given,wrong", data={"vip_bench": source})
    assert [style.name for style in chosen.tasks[0].styles] == ["given"]


def test_what_a_moved_box_shares_with_itself_is_an_area() -> None:
    box = (10.0, 20.0, 40.0, 30.0)
    assert controls._overlap(box, 10, 20) == 30 * 10
    assert controls._overlap(box, 25, 14) == 15 * 4
    assert controls._overlap(box, 40, 20) == controls._overlap(box, 10, 31) == 0
    assert controls._overlap(box, 60, 22) == 0
