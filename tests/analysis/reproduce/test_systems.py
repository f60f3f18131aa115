from tests.analysis.reproduce.made import V7W, VIP_7B, small_registry
from tests.results import manifest, task_run
from vipbench.analysis.reproduce.systems import find_match

(NUMBER,) = small_registry(1, 50.0)[0].numbers


def test_a_system_is_found_by_id_folder_or_option() -> None:
    for model, option, by in (
        ("some/one", None, "id"),
        ("one", None, "folder"),
        (VIP_7B, "one", "option"),
        (VIP_7B, None, None),
        ("some/one", "another", None),
    ):
        match = find_match(manifest(model, {V7W: task_run(V7W)}), NUMBER, option)
        assert (match.by if match else None) == by
