"""Brings a prediction's files home, and does not give up those that are paid for one that fails."""

from dataclasses import dataclass, replace
from pathlib import Path

from safelight.errors import ProviderRejected, Remedy, SafelightError
from safelight.fetch import Fetcher
from safelight.providers import results
from safelight.providers.provider import MediaFile

_MODEL = "model/gltf-binary"


@dataclass(frozen=True, slots=True)
class Harvest:
    """The files in their order, and what is wrong with the first one that is missing."""

    files: tuple[MediaFile, ...]
    missing: str = ""


async def bring(fetcher: Fetcher, addresses: list[str], folder: Path) -> Harvest:
    """Return the files that are pictures or models.

    Many models give a video or a point cloud along with them, which nobody here can show. Raises
    what another look at the same work may mend, and what is wrong where nothing is left at all.
    """
    made: list[MediaFile] = []
    wrong: list[SafelightError] = []
    for place, address in enumerate(addresses):
        try:
            file = await results.bring(fetcher, address, folder / f"made-{place}")
        except SafelightError as error:
            if error.remedy is not Remedy.NEVER:
                raise
            wrong.append(error)
        else:
            # What the vendor calls it and where it was are nobody's business.
            made.append(MediaFile(file.path, file.media_type))
    if not made:
        raise wrong[0] if wrong else ProviderRejected("The work was done and made no file.")
    return Harvest(tuple(made), wrong[0].detail if wrong else "")


def models_of(files: tuple[MediaFile, ...]) -> tuple[MediaFile, ...]:
    """Return the 3D models, the first with a picture of it; raise where there are none."""
    models = [file for file in files if file.media_type == _MODEL]
    pictures = [file.path for file in files if file.media_type != _MODEL]
    if not models:
        raise ProviderRejected("The work was done and made no 3D model.")
    return (replace(models[0], preview=pictures[0] if pictures else None), *models[1:])
