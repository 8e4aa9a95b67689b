"""Named colors, shades, and icons repainted in another color."""

import colorsys
import re

from safelight.providers.local.sketch import vocabulary

HUES = {
    "red": 0.0,
    "orange": 0.07,
    "yellow": 0.135,
    "gold": 0.12,
    "green": 0.36,
    "teal": 0.48,
    "cyan": 0.53,
    "blue": 0.6,
    "purple": 0.76,
    "magenta": 0.85,
    "pink": 0.93,
    "brown": 0.065,
}
_TONES = {"dark": 0.68, "light": 1.25, "bright": 1.08}
_HEX = re.compile(r"#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3})\b")
_NEAR = 0.15  # how far from an icon's main hue its paint may lie to be changed
_GREYISH = 0.15


def shade(hue: float, saturation: float, lightness: float) -> str:
    """Return `#rrggbb`; each part from 0 to 1, the hue going round."""
    red, green, blue = colorsys.hls_to_rgb(
        hue % 1, min(max(lightness, 0), 1), min(max(saturation, 0), 1)
    )
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def named(color: str, saturation: float, lightness: float) -> str:
    """Return a shade of a named color."""
    if color in HUES:
        return shade(HUES[color], saturation, lightness)
    gray = {"black": 0.35, "white": 1.35, "gray": 1.0}.get(color, 1.0)
    return shade(0.6, 0.06, lightness * gray)


def parts(color: str) -> tuple[float, float, float]:
    """Return hue, lightness and saturation of `#rgb` or `#rrggbb`."""
    digits = color.lstrip("#")
    if len(digits) == 3:  # noqa: PLR2004  the short form
        digits = "".join(digit * 2 for digit in digits)
    return colorsys.rgb_to_hls(*(int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)))


def repaint(body: str, icon: str, color: str, tone: str | None) -> str:
    """Return an icon's SVG with its main hue turned into `color`; other hues stay."""
    main = vocabulary.hue(icon)
    factor = _TONES.get(tone or "", 1.0)

    def change(found: re.Match[str]) -> str:
        hue, light, saturation = parts(found[0])
        if main is not None and not _is_near(hue, light, saturation, main):
            return found[0]
        return _in_color(color, hue, light * factor, saturation)

    return _HEX.sub(change, body)


def _is_near(hue: float, light: float, saturation: float, main: float) -> bool:
    distance = abs((hue - main + 0.5) % 1 - 0.5)
    return saturation > _GREYISH and light > 0.1 and distance < _NEAR  # noqa: PLR2004  not black


def _in_color(color: str, hue: float, light: float, saturation: float) -> str:
    match color:
        case "black":
            return shade(0.63, 0.08, 0.09 + 0.26 * light)
        case "white":
            return shade(0.6, 0.12, 0.8 + 0.19 * light)
        case "gray":
            return shade(0.6, 0.06, 0.25 + 0.6 * light)
        case "brown":
            return shade(HUES["brown"], 0.45, light * 0.72)
        case "rainbow":
            return shade(hue + light * 1.7, max(saturation, 0.7), light)
        case _:
            # Yellow is a light color and red a dark one, whatever the paint before was.
            power = {"red": 1.05, "yellow": 0.7, "gold": 0.8}.get(color, 1.0)
            least, most = {"red": (0.6, 0.74), "yellow": (0.9, 0.96)}.get(color, (0.66, 0.84))
            lively = min(max(saturation, least), most)
            return shade(HUES.get(color, hue), lively, max(light, 0.01) ** power)
