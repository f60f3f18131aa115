from vipbench.digests import facts
from vipbench.runfolder.endpoint_use import EndpointFacts, Usage
from vipbench.runfolder.manifest import Settings, settings_digest


def test_usage_adds_up_and_dollars_are_known_or_not() -> None:
    first = Usage(n_calls=3, n_prompt_tokens=10, n_completion_tokens=4, dollars=0.5)
    second = Usage(n_calls=1, n_prompt_tokens=5, n_reasoning_tokens=2, n_estimated=1, dollars=0.25)
    both = first.plus(second)
    assert both == Usage(
        n_calls=4,
        n_prompt_tokens=15,
        n_completion_tokens=4,
        n_reasoning_tokens=2,
        n_estimated=1,
        dollars=0.75,
    )
    assert first.plus(Usage(n_calls=1)).dollars is None
    assert first.plus(Usage()) == first
    assert Usage().plus(first) == first


def settings(**fields: object) -> Settings:
    known = EndpointFacts.model_validate({"host": "a.example"} | fields)
    return Settings(weights=None, prompt_format=None, dtype=None, decoding="greedy", endpoint=known)


def test_whatever_moves_an_answer_is_digested() -> None:
    changes: list[dict[str, object]] = [
        {},
        {"host": "b.example"},
        {"image_format": "jpeg:90"},
        {"image_detail": "low"},
        {"image_order": "last"},
        {"max_side": 512},
        {"max_side": 512, "is_fitted": True},
        {"system": "Be brief."},
        {"reasoning_tokens": 100},
        {"reasoning_effort": "low"},
        {"extra_body": {"top_k": 1}},
        {"headers": {"x-a": "12"}},
    ]
    assert len({settings_digest(settings(**change)) for change in changes}) == len(changes)
    assert {change for each in changes for change in each} | {"top_p"} == {
        *EndpointFacts.model_fields
    }


def test_a_run_without_an_endpoint_keeps_its_digest() -> None:
    without = Settings(weights=None, prompt_format=None, dtype=None, decoding="greedy")
    assert "endpoint" not in facts(without)
    assert facts(settings())["endpoint"] == {"host": "a.example"}
