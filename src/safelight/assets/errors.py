"""What the library refuses, and why."""

from safelight.errors import Remedy, RequestError, SafelightError


class NoPublicPicture(RequestError):
    """The asset is no picture, or only its owner may see it: nothing can be made of it."""

    code = "no_public_picture"
    status = 409
    title = "This asset has no public picture"


class ShowsNothing(RequestError):
    """The asset is an input that nobody but its owner may have: it shows nothing to make public."""

    code = "shows_nothing"
    status = 409
    title = "This asset shows nothing"


class OnHold(RequestError):
    """The asset, or all that its account has, is held: nothing is deleted before the release."""

    code = "on_hold"
    status = 409
    title = "This is held"


class FormatUnavailable(RequestError):
    """The asset is no 3D model of glTF: it cannot be had in another 3D format."""

    code = "format_unavailable"
    status = 409
    title = "This asset is not to be had in that format"


class ObjectsSwept(SafelightError):
    """Keeping a file took over an hour, and its bytes had been cleaned up before it was done."""

    code = "objects_swept"
    status = 503
    title = "The file took so long to be kept that it was cleaned up"
    remedy = Remedy.RETRY


class SignatureInvalid(RequestError):
    """The parameters have no signature, or one by another key or for other parameters."""

    code = "signature_invalid"
    status = 403
    title = "The address is not signed as it must be"
