"""Errors of the asset library."""

from safelight.errors import Remedy, RequestError, SafelightError


class NoPublicPicture(RequestError):
    """The asset is not a picture, or it serves nothing: no variant can be derived from it."""

    code = "no_public_picture"
    status = 409
    title = "This asset has no public picture"


class ShowsNothing(RequestError):
    """The asset is a private input without a served copy, so its visibility cannot change."""

    code = "shows_nothing"
    status = 409
    title = "This asset shows nothing"


class OnHold(RequestError):
    """The asset or its account is under legal hold: nothing is deleted before the release."""

    code = "on_hold"
    status = 409
    title = "This is under legal hold"


class FormatUnavailable(RequestError):
    """The asset is not a binary glTF model, so it cannot be converted to another 3D format."""

    code = "format_unavailable"
    status = 409
    title = "This asset is not available in that format"


class ObjectsSwept(SafelightError):
    """Storing a file took over an hour, and its bytes were cleaned up before it finished."""

    code = "objects_swept"
    status = 503
    title = "The file took so long to store that it was cleaned up"
    remedy = Remedy.RETRY


class SignatureInvalid(RequestError):
    """The URL's signature is missing, expired, or made by another key or for other parameters."""

    code = "signature_invalid"
    status = 403
    title = "The URL has no valid signature"
