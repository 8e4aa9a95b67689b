"""Detects a file's media type from its first bytes; names and headers are not trusted."""

HEAD_BYTES = 512
"""How many bytes of a file `sniff` reads."""

_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"glTF\x02\x00\x00\x00", "model/gltf-binary"),
    (b"Kaydara FBX Binary  \x00\x1a\x00", "application/vnd.autodesk.fbx"),
    (b"%PDF-", "application/pdf"),
)
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def sniff(head: bytes) -> str | None:
    """Return the media type of a file that starts with `head`, or None if unknown.

    Recognized does not mean allowed: SVG, HTML, PDF and HEIF are detected too.
    """
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return media_type
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return _sniff_heif(head)
    return _sniff_markup(head[:HEAD_BYTES])


def _sniff_heif(head: bytes) -> str | None:
    # The box lists a major brand, a version, then compatible brands, four bytes each.
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12]} | {head[start : start + 4] for start in range(16, length, 4)}
    if brands & {b"avif", b"avis"}:
        return "image/avif"
    return "image/heic" if brands & _HEIF_BRANDS else None


def _sniff_markup(head: bytes) -> str | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not text.startswith(b"<"):
        return None
    if b"<svg" in text:
        return "image/svg+xml"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script")):
        return "text/html"
    return "application/xml" if text.startswith(b"<?xml") else None
