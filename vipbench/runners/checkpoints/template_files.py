"""The chat template of a checkpoint's folder, in the four files that it has been saved in."""

from pathlib import Path

from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import CheckpointInfo
from vipbench.runners.checkpoints.files import read_json
from vipbench.runners.templates import ChatTemplate, choose_template
from vipbench.schema import PromptFormat

_JSON = ("chat_template.json", "processor_config.json", "tokenizer_config.json")


def find_template(folder: Path) -> ChatTemplate | None:
    """Read the chat template, the processor's before the tokenizer's; None: there is none.

    Raises:
        RunnerError: a file cannot be read, or holds something else under that name.
    """
    path = folder / "chat_template.jinja"
    if path.exists():
        try:
            return choose_template(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise RunnerError(f"{path}: cannot be read ({error}) · fetch it again") from error
    for path in (folder / name for name in _JSON):
        if path.exists():
            template = choose_template(read_json(path).get("chat_template"), str(path))
            if template is not None:
                return template
    return None


def template_of(info: CheckpointInfo, prompt_format: PromptFormat) -> ChatTemplate | None:
    """Find the template that a checkpoint is asked in; None: none is used, or the tokenizer's own.

    Raises:
        RunnerError: as `find_template`.
    """
    if prompt_format != "chat_template":
        return None
    if info.path is None:
        return choose_template(info.chat_template, "prompt format chat_template")
    return find_template(info.path)
