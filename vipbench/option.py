"""What the command line says of a field of a record: the option stands where the field does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vipbench.schema import Record


@dataclass(frozen=True, slots=True)
class Option:
    """Makes a field an option, as an item of `Annotated`.

    Type, range, choices and default are those of the field.
    """

    help: str
    metavar: str | None = None
    """How the value is shown; None: by its type or its choices."""
    unset: str | None = None
    """What happens without the option, where the field's default does not say it."""
    flags: tuple[str, ...] = ()
    """Empty: `--` and the field's name, with hyphens."""
    group: str = ""
    """Heading below which the help of a command lists it; empty: `Options`."""
    parse: Callable[[Any], object] | None = None
    """Makes the field's value of the text that was typed, or of all texts of a repeatable option;
    raises VipbenchError. None: the type says how."""


@dataclass(frozen=True, slots=True)
class Options:
    """Asks for a field by the options of another record, as an item of `Annotated`.

    Each is named by the field and its own name: `--judge-url`.
    """

    record: "type[Record]"


MODEL = Option("Checkpoint folder or hub id.", metavar="MODEL", unset="the embedded")
BASE = Option(
    "Checkpoint that lends tokenizer, processor, chat template and vipbench.json to one without.",
    metavar="MODEL",
)
ADAPTER = Option(
    "Adapter that PEFT saved (LoRA and the like), loaded onto the model (vipbench[peft]).",
    metavar="DIR",
)
QUANTIZE = Option(
    "Quantise the weights while loading: int8 or int4, by bitsandbytes (vipbench[quantize]).",
    unset="as they are",
)
DEVICE = Option("cpu, cuda, cuda:1, mps.", metavar="NAME", unset="the fastest here")
DTYPE = Option(
    "float32, float16 or bfloat16.", metavar="NAME", unset="float16 on CUDA, else float32"
)
"""These six of a run and of a bench."""
INCLUDE = Option("Folder with further task files; repeatable.", metavar="DIR")
"""Of a run, and of the commands that list what there is without loading the record of a run."""
