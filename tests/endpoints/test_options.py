"""The options that all endpoints beside the model have."""

import pytest

from vipbench.endpoints.options import shared_options
from vipbench.errors import ExtractorError, JudgeError
from vipbench.extractor.settings import EXTRACTOR
from vipbench.judge.settings import JUDGE


def test_they_read_alike_and_name_their_purpose() -> None:
    judge = shared_options(JUDGE, timeouts=(60, 600), workers=8)
    extractor = shared_options(EXTRACTOR, timeouts=(5.5, 600), workers=4)
    assert [each.help for each in judge] == [each.help for each in extractor]
    assert judge.key_file.unset == "VIPBENCH_JUDGE_KEY or OPENAI_API_KEY"
    assert extractor.timeout.unset == "600, 5.5 without room to think"
    assert extractor.workers.unset == "4"
    assert judge.price.parse is not None
    assert extractor.extra_body.parse is not None
    assert judge.price.parse("30, 60") == (30.0, 60.0)
    with pytest.raises(JudgeError, match="--judge-price 'a': expected two numbers"):
        judge.price.parse("a")
    with pytest.raises(ExtractorError, match="--extractor-extra-body: is not JSON"):
        extractor.extra_body.parse("{")
