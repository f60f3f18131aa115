"""Files to samples: finds task files, suites and data, reads the samples and checks them.

`tasks` reads task files and suites, `locate` finds the data of a task, `samples` reads and checks
what is in them. Readers import from here what opens images and masks; it is loaded
when it is first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vipbench.images.decode import safe_path
    from vipbench.images.masks import decode_rle, mask_region, read_labels, read_mask

__all__ = ["decode_rle", "mask_region", "read_labels", "read_mask", "safe_path"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vipbench.images import decode, masks

    return decode.safe_path if name == "safe_path" else getattr(masks, name)
