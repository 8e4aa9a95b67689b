"""Amazon SageMaker asynchronous endpoints; the AWS library is imported when a plug is opened."""

from typing import TYPE_CHECKING

from safelight.fetch import Fetcher
from safelight.providers.provider import Model
from safelight.providers.remote.sagemaker.config import MODELS, SageMakerConfig, image_model
from safelight.providers.remote.sagemaker.place import Place

if TYPE_CHECKING:
    from safelight.providers.remote.sagemaker.provider import SageMakerProvider

__all__ = ["MODELS", "Place", "SageMakerConfig", "image_model", "open_sagemaker"]


def open_sagemaker(
    config: SageMakerConfig, fetcher: Fetcher, models: tuple[Model, ...] = MODELS
) -> "SageMakerProvider":
    """Return the plug, with the AWS credentials of `config` or of this machine.

    Raises:
        ModuleNotFoundError: the AWS library is missing; the text says what to install.
    """
    try:
        from safelight.providers.remote.sagemaker.credentials import credentials_of  # noqa: PLC0415
        from safelight.providers.remote.sagemaker.provider import SageMakerProvider  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "SageMaker needs more: pip install 'safelight[sagemaker]'", name=error.name
        ) from error
    return SageMakerProvider(config, credentials_of(config), fetcher, models)
