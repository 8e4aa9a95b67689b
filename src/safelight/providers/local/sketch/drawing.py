"""Draws a prompt: one SVG from scenery and icons, rendered to a file. Runs in a child process."""

import hashlib
import struct
import zlib
from random import Random

import resvg_py

from safelight import cpu
from safelight.providers.local.sketch import (
    colors,
    figure,
    layout,
    prompt,
    reference,
    scenery,
    weather,
)
from safelight.providers.local.sketch.canvas import Canvas
from safelight.providers.local.sketch.holding import Placed
from safelight.providers.local.sketch.order import NOTE, Drawn, Order
from safelight.providers.local.sketch.prompt import Scene
from safelight.providers.local.sketch.reference import Reference

_ICON_UNITS = 32
_QUALITY = 92


def preload() -> None:
    """Read the vocabulary and the icons, which forked children then share."""
    for item in prompt.read("fox", "").items:
        figure.body(item.icon)


def draw_all(order: Order) -> list[Drawn]:
    """Draw `order.count` pictures; the same order gives the same bytes."""
    cpu.report(5, "reading the prompt")
    scene = prompt.read(order.prompt, order.negative_prompt)
    lent = [reference.read(path) for path in order.references]
    made: list[Drawn] = []
    for number in range(order.count):
        cpu.report(10 + 85 * number / order.count, f"drawing {number + 1} of {order.count}")
        seed = order.seed if number == 0 else _derived(order.seed, number)
        svg = compose(scene, order, seed, lent)
        path = order.folder / f"{number}.{order.format}"
        path.write_bytes(_encoded(svg, order))
        mood = scenery.mood(scene) or "plain"
        made.append(Drawn(path, seed, tuple(scene.words()), scene.unrecognized, mood))
    return made


def compose(scene: Scene, order: Order, seed: int, lent: list[Reference]) -> str:
    """Return the picture as SVG. It contains no text of the prompt, only recognized things."""
    digest = hashlib.sha256(f"{seed}|{order.prompt}".encode("utf-8", "replace")).digest()
    canvas = Canvas(order.width, order.height, Random(int.from_bytes(digest[:8], "big")))  # noqa: S311
    palette = lent[0].palette if lent else None
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {order.width} {order.height}">'
        '<defs><radialGradient id="shadow"><stop stop-opacity=".4"/>'
        '<stop offset="1" stop-opacity="0"/></radialGradient></defs>'
    )
    parts = [head, scenery.behind(scene, canvas, palette)]
    if lent:
        parts.append(_reference_layer(order, lent[0]))
    if not scene.items and not lent:
        parts.append(scenery.abstract(scene, canvas))
    placed = layout.arrange(scene, order.width, order.height, canvas.random)
    subjects = "".join(_icon(one, number) for number, one in enumerate(placed))
    parts += [scenery.lit(scene, subjects), weather.before(scene, canvas), "</svg>"]
    return "".join(parts)


def _reference_layer(order: Order, lent: Reference) -> str:
    """Return the reference picture, fainter the higher the strength."""
    return (
        f'<image width="{order.width}" height="{order.height}" opacity="{1 - order.strength:.2f}" '
        f'preserveAspectRatio="xMidYMid slice" href="{lent.picture}"/>'
    )


def _icon(one: Placed, number: int) -> str:
    """Return an icon with its painted feet at the given place, and its shadow."""
    name = one.item.icon
    body = figure.hands(name) if one.hands_only else figure.body(name)
    if one.item.color:
        body = colors.repaint(body, name, one.item.color, one.item.tone)
    left, _, right, bottom = figure.box(name)
    scale = one.size / _ICON_UNITS
    middle = (left + right) / 2
    flip = -scale if one.flipped else scale
    shadow = (
        f'<ellipse cx="{one.x:.1f}" cy="{one.foot:.1f}" rx="{(right - left) * scale * 0.52:.1f}" '
        f'ry="{one.size * 0.06:.1f}" fill="url(#shadow)"/>'
        if one.shadow
        else ""
    )
    return (
        f'{shadow}<g transform="translate({one.x:.1f} {one.foot:.1f}) '
        f"rotate({one.turned:g}) scale({flip:.4f} {scale:.4f}) "
        f'translate({-middle:.2f} {-bottom:.2f})">'
        f"{body.replace('§', f'i{number}_')}</g>"
    )


def _encoded(svg: str, order: Order) -> bytes:
    png = bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg, width=order.width, height=order.height, skip_system_fonts=True
        )
    )
    if order.format == "png":
        return _with_text(png, "Description", f"Safelight {NOTE}")
    import pyvips  # noqa: PLC0415  only for formats that need it

    image = pyvips.Image.new_from_buffer(png, "").flatten(background=[255.0])
    ending = ".jpg" if order.format == "jpeg" else f".{order.format}"
    return image.write_to_buffer(ending, Q=_QUALITY)


def _with_text(png: bytes, keyword: str, text: str) -> bytes:
    """Return `png` with a tEXt chunk after its header (https://www.w3.org/TR/png-3/#11tEXt)."""
    data = b"tEXt" + keyword.encode("latin-1") + b"\0" + text.encode("latin-1")
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    header_end = 8 + 12 + 13
    return png[:header_end] + chunk + png[header_end:]


def _derived(seed: int, number: int) -> int:
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")
