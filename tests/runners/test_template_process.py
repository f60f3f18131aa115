"""The environment of chat templates is transformers', and nothing in it changes by itself."""

from typing import Any

import pytest

from tests.models import CHAT_TEMPLATE, build_tokenizer
from vipbench.demo.embedded import CHECKPOINT
from vipbench.runners import template_process
from vipbench.runners.prompt_formats import conversation
from vipbench.runners.templates import ChatTemplate

TURNS = [" What <is> it?\n", 'a "b"', "ä 語 \\n {{ 1 }}"]
TRIMMED = (
    "{%- for message in messages %}\n"
    "    {%- set role = 'model' if message['role'] == 'assistant' else message.role %}\n"
    "{{ bos_token if loop.first else '' }}<{{ role }}>\n"
    "    {% for part in message.content %}\n"
    "    {% if part.type == 'image' -%}<image>{% else %}{{ part.text | trim }}{% endif %}\n"
    "    {% endfor %}\n"
    "{% endfor %}\n\n{% if add_generation_prompt %}<model>\n{% endif %}\n"
)


@pytest.mark.parametrize(
    "template",
    [
        CHAT_TEMPLATE,
        (CHECKPOINT / "chat_template.jinja").read_text(encoding="utf-8"),
        TRIMMED,
        "{% for m in messages %}{% generation %}{{ m.content[-1].text }}{% endgeneration %}"
        "{% endfor %}",
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}"
        "{{ ns.n }}",
        "{% for m in messages %}{% if loop.index == 2 %}{% break %}{% endif %}{{ m.role }}"
        "{% endfor %}",
        "{{ messages | tojson(indent=1) }}{{ dict(a=1) }}{{ dict.fromkeys('ab') }}",
        "{{ tools is none }}{{ documents }}{{ unknown }}{{ image_token }}{{ eos_token }}",
        "{% if messages[0].content[1].text.startswith(' ') %}yes{% endif %}",
    ],
)
def test_a_conversation_is_what_transformers_makes_of_it(template: str) -> None:
    tokenizer: Any = build_tokenizer()
    for turns in (TURNS[:1], TURNS):
        expected = tokenizer.apply_chat_template(
            conversation(turns), chat_template=template, tokenize=False, add_generation_prompt=True
        )
        made = ChatTemplate(template).render(conversation(turns), tokenizer.special_tokens_map)
        assert made == expected


def test_the_result_has_an_end() -> None:
    made = template_process.render("{{ 'abc' }}{{ x }}", {"x": "de"}, 5)
    assert made == {"text": "abcde"}
    made = template_process.render("{{ 'abc' }}{{ x }}", {"x": "de"}, 4)
    assert made == {"error": "writes more than 1,000,000 characters"}


@pytest.mark.parametrize("name", ["_x", "__class__"])
def test_a_namespace_leads_nowhere(name: str) -> None:
    for template in (
        f"{{{{ namespace({name}=1) }}}}",
        f"{{% set n = namespace() %}}{{% set n.{name} = 1 %}}",
    ):
        assert "a namespace has no name" in template_process.render(template, {}, 99)["error"]
