"""Inspects and renders a model, and separates faults of the file from failures to render."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from safelight import cpu
from safelight.errors import SafelightError
from safelight.media.models.check.facts import ModelFacts, ModelRules
from safelight.media.models.check.glb import open_glb
from safelight.media.models.check.images import check_images
from safelight.media.models.draw.pictures import draw
from safelight.media.models.formats.read import read_scene
from safelight.media.models.formats.scene import Scene
from safelight.media.models.measure import facts_of
from safelight.media.pictures.picture import Picture

_PACKED = "packed by an extension that Safelight does not read"
_EMPTY = "no surface"


@dataclass(frozen=True, slots=True)
class Seen:
    """A valid file's facts, and its scene if it can be rendered."""

    facts: ModelFacts
    scene: Scene | None


def look(source: Path, rules: ModelRules) -> Seen:
    """Return the facts and scene of a valid file; raise `MediaError` for an invalid one."""
    cpu.report(2, "checking the model")
    glb = open_glb(source, rules)
    check_images(glb, rules)
    document, claimed = glb.document, facts_of(glb.document, None)
    if glb.is_packed or claimed.triangles == 0:
        return Seen(claimed, None)
    del glb  # free its bytes before the file is read again
    cpu.report(8, "measuring the model")
    with np.errstate(over="ignore", invalid="ignore"):  # non-finite values are rejected later
        scene = read_scene(source)
    return Seen(facts_of(document, scene), scene)


def picture(seen: Seen, folder: Path, *, still: bool) -> tuple[dict[str, Picture], str]:
    """Write a model's pictures into `folder`; return them, or the reason why there are none.

    The file is valid and may have been paid for, so a failure here loses only the pictures.
    """
    if seen.scene is None:
        return {}, _PACKED if seen.facts.triangles else _EMPTY
    try:
        return draw(seen.scene, folder, still=still), ""
    except SafelightError as error:  # a texture damaged after its header
        return {}, error.detail
    except MemoryError:
        return {}, "it needs more memory than drawing may use"
    except Exception as error:  # noqa: BLE001  the reason is reported and logged; the model is kept
        return {}, f"drawing failed: {type(error).__name__}"
