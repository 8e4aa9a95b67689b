"""Amazon SageMaker asynchronous endpoints; the AWS library is imported when a plug is opened."""

from typing import TYPE_CHECKING

from safelight.errors import SettingInvalid
from safelight.extras import how_to_install
from safelight.fetch import Fetcher
from safelight.providers.provider import Model
from safelight.providers.remote.sagemaker.config import MODELS, SageMakerConfig, image_model
from safelight.providers.remote.sagemaker.place import S3Place

if TYPE_CHECKING:
    from safelight.providers.remote.sagemaker.provider import SageMakerProvider

__all__ = ["MODELS", "S3Place", "SageMakerConfig", "image_model", "open_sagemaker"]


def open_sagemaker(
    config: SageMakerConfig, fetcher: Fetcher, models: tuple[Model, ...] = MODELS
) -> "SageMakerProvider":
    """Return the plug, with the AWS credentials of `config` or of this machine.

    Raises `SettingInvalid` if the AWS library is missing.
    """
    try:
        from safelight.providers.remote.sagemaker.credentials import credentials_of  # noqa: PLC0415
        from safelight.providers.remote.sagemaker.provider import SageMakerProvider  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingInvalid(
            f"SAFELIGHT_SAGEMAKER_REGION needs the extra `sagemaker`: {how_to_install('sagemaker')}"
        ) from error
    return SageMakerProvider(config, credentials_of(config), fetcher, models)
