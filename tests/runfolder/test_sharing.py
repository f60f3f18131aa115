"""What requests have in common is counted as they come."""

from vipbench.runfolder.sharing import Beginnings, Group, Reading, Readings, Sharing, n_common

A = Reading(tokens=5, images=2, operations=70)
B = Reading(tokens=1, images=1, operations=30)


def test_readings_add_up() -> None:
    both = Readings(asked=A, read=B)
    assert both.plus(both).minus(both) == both
    sharing = Sharing(n_groups=1, n_requests=2, tokens=0.5, arithmetic=0.5, asked=A, read=B)
    assert sharing.plus(both).asked == Reading(tokens=10, images=4, operations=140)
    assert sharing.plus(both).read.tokens == 2


def test_tokens_in_common_end_before_the_first_that_differs() -> None:
    assert n_common([1, 2, 3], [1, 2, 4]) == 2
    assert n_common([1, 2], [1, 2, 4]) == 2
    assert n_common([], [1]) == 0


def test_requests_of_a_picture_are_counted_with_their_sample() -> None:
    begin = [1, 9, 9]
    found = Beginnings()
    numbers = [
        found.add(picture, sample, [*begin, *rest], 3)
        for picture, sample, rest in (
            (b"p", b"a", [20, 21, 22, 23, 24, 25, 26, 27, 50]),
            (b"p", b"a", [20, 21, 22, 23, 24, 25, 26, 27, 51]),
            (b"p", b"b", [30, 31]),
            (b"q", b"a", [20, 21]),
        )
    ]
    numbers.append(found.alone())
    groups = found.groups(numbers)
    first = groups[0]
    assert groups[1] == first
    assert (first.length, first.sample_length) == (3, 11)
    # 1 x 11 tokens by sample, 2 x 3 by picture
    assert first.together == first.sample
    assert groups[2].picture == first.picture
    assert groups[2].together == groups[2].sample != first.sample
    assert groups[3].picture != first.picture
    assert groups[4] == Group(numbers[4], numbers[4], 0, 0, numbers[4])


def test_another_text_before_the_picture_is_another_group() -> None:
    found = Beginnings()
    one, other = found.add(b"p", b"a", [1, 9, 5], 2), found.add(b"p", b"a", [2, 9, 5], 2)
    first, second = found.groups([one, other])
    assert first.picture != second.picture


def test_equal_prompts_differ_in_their_last_token() -> None:
    found = Beginnings()
    number = [found.add(b"p", sample, [1, 9, 5, 6], 2) for sample in (b"a", b"b")][1]
    assert found.groups([number])[0].length == 3
