"""Which published system a run is of."""

from vipbench.analysis.reproduce.published import Published
from vipbench.analysis.reproduce.records import Match
from vipbench.runfolder.manifest import Manifest


def find_match(manifest: Manifest, number: Published, system: str | None) -> Match | None:
    """Find the run's model, or what it was converted from, among those of a published number."""
    return match_model(manifest.converted_from or manifest.identity.model, number, system)


def match_model(model: str, number: Published, system: str | None) -> Match | None:
    """Find a model, by the name of what it was converted from, if it was, or by its own."""
    if system is not None:
        same = number.system.casefold() == system.casefold()
        return Match("option", number.system) if same else None
    name = model.casefold()
    for known in number.models:
        if known.casefold() == name:
            return Match("id", known)
    for known in number.models:
        if known.rpartition("/")[2].casefold() == name:
            return Match("folder", known)
    return None
