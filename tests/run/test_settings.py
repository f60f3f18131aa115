"""The record of what is asked: every field says what it is."""

import pytest
from pydantic.fields import FieldInfo

from vipbench.option import Option
from vipbench.run.settings import RunSettings


@pytest.mark.parametrize(("name", "field"), RunSettings.model_fields.items())
def test_every_field_has_its_help(name: str, field: FieldInfo) -> None:
    words = [item.help for item in field.metadata if isinstance(item, Option)]
    assert [field.description, *words] != [None], name
