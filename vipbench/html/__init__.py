"""The report of `vipbench report`: one page with tables, plots and a browser of samples.

`report` writes it all, `page` the page, `tables`, `plots` and `pictures` what is on it, from `runs`
and the `dataset` of their samples. `write_report` can be imported from here; it is loaded when it
is first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vipbench.html.report import write_report

__all__ = ["write_report"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vipbench.html import report

    return report.write_report
