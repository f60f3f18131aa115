"""Which published system a run is of."""

from vipbench.analysis.reproduce.published import Published
from vipbench.analysis.reproduce.records import Match
from vipbench.runfolder.manifest import Manifest


def find_match(manifest: Manifest, number: Published, system: str | None) -> Match | None:
    """Find the run's model, or what it was converted from, among those of a published number."""
    if system is not None:
        same = number.system.casefold() == system.casefold()
        return Match("option", number.system) if same else None
    name = (manifest.converted_from or manifest.identity.model).casefold()
    for model in number.models:
        if model.casefold() == name:
            return Match("id", model)
    for model in number.models:
        if model.rpartition("/")[2].casefold() == name:
            return Match("folder", model)
    return None
