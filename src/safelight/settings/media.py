"""Pictures that are taken in."""

from pydantic import Field
from pydantic_settings import BaseSettings


class MediaSettings(BaseSettings):
    """Pictures that are taken in."""

    keep_originals: bool = Field(
        default=True,
        description="Keep imported and uploaded files as they came, privately; otherwise "
        "only the public copy stays.",
    )
    max_pixels: int = Field(
        default=60_000_000, ge=1, description="Most pixels of one picture, width times height."
    )
