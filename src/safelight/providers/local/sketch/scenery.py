"""Paints the background: sky, far land, ground and weather, from places, times and weathers."""

from collections.abc import Callable, Mapping

from safelight.providers.local.sketch import colors, land, town, vocabulary
from safelight.providers.local.sketch.canvas import Canvas, Hour, ridge
from safelight.providers.local.sketch.colors import shade
from safelight.providers.local.sketch.prompt import Scene

_SKIES = {
    "day": ("#5db8f0", "#e3f4ff"),
    "sunset": ("#3b2a6e", "#ff9a5a"),
    "night": ("#0b1234", "#34548f"),
    "space": ("#090d29", "#3a2270"),
    "underwater": ("#41c9e2", "#07396b"),
    "room": ("#f6e6d0", "#e9cfab"),
    "storm": ("#3d4a5c", "#8fa0b0"),
}
_TOO_NEAR = 0.14  # hues
_LIGHTS = {  # factors of red, green and blue on the subjects
    "night": (0.76, 0.8, 0.98),
    "sunset": (1, 0.91, 0.84),
    "underwater": (0.84, 0.97, 1),
    "storm": (0.84, 0.88, 0.93),
}
_INDOORS = frozenset({"room", "table"})
_NO_SKY = frozenset({"space", "underwater", *_INDOORS})


def mood(scene: Scene) -> str:
    """Return the sky of a scene; empty if the prompt names neither place nor time."""
    for place in ("space", "moon", "underwater", "room", "table"):
        if place in scene.places:
            return {"moon": "space", "table": "room"}.get(place, place)
    if "night" in scene.times or "neon" in scene.weathers:
        return "night"
    if "sunset" in scene.times:
        return "sunset"
    if "storm" in scene.weathers:
        return "storm"
    return "day" if scene.places or scene.times or scene.weathers else ""


def behind(scene: Scene, canvas: Canvas, palette: tuple[str, str] | None) -> str:
    """Return everything behind the subjects."""
    name = mood(scene)
    parts = [_sky(scene, canvas, name, palette)]
    if not name:
        return "".join([*parts, _backdrop(scene, canvas)])
    parts.append(_lights_in_the_sky(scene, canvas, name))
    if "rainbow" in scene.weathers:
        parts.append(_rainbow(canvas))
    if name not in _NO_SKY and not {"night"} & set(scene.times):
        parts.append(_clouds(scene, canvas, name))
    parts.append(_land(scene, canvas, name))
    return "".join(parts)


def lit(scene: Scene, subjects: str) -> str:
    """Return the subjects, tinted by the hour."""
    light = _LIGHTS.get(mood(scene))
    if light is None or not subjects:
        return subjects
    rows = " ".join(
        " ".join(str(part) if column == row else "0" for column in range(5))
        for row, part in enumerate((*light, 1))
    )
    return (
        '<defs><filter id="hour" x="0" y="0" width="1" height="1" '
        'color-interpolation-filters="sRGB">'
        f'<feColorMatrix values="{rows}"/></filter></defs><g filter="url(#hour)">{subjects}</g>'
    )


def _sky(scene: Scene, canvas: Canvas, name: str, palette: tuple[str, str] | None) -> str:
    top, bottom = palette or _sky_colors(scene, canvas, name)
    return (
        f'<defs><linearGradient id="sky" x2="0" y2="1"><stop stop-color="{top}"/>'
        f'<stop offset="1" stop-color="{bottom}"/></linearGradient>'
        '<radialGradient id="glow"><stop stop-color="#fff" stop-opacity=".55"/>'
        '<stop offset="1" stop-color="#fff" stop-opacity="0"/></radialGradient></defs>'
        f'<rect width="{canvas.width}" height="{canvas.height}" fill="url(#sky)"/>'
    )


def _sky_colors(scene: Scene, canvas: Canvas, name: str) -> tuple[str, str]:
    if scene.background:
        return colors.named(scene.background, 0.5, 0.62), colors.named(scene.background, 0.6, 0.86)
    if name:
        top, bottom = _SKIES[name]
        return (top, "#ef7fb0") if "neon" in scene.weathers and name == "night" else (top, bottom)
    hue = canvas.random.random()
    if scene.colors and scene.colors[0] in colors.HUES:
        hue = colors.HUES[scene.colors[0]]
    elif any(abs((hue + 0.045 - one + 0.5) % 1 - 0.5) < _TOO_NEAR for one in _hues(scene)):
        hue += 0.45  # a red cat on red would be invisible
    return shade(hue, 0.55, 0.7), shade(hue + 0.09, 0.7, 0.9)


def _hues(scene: Scene) -> list[float]:
    """Return the hues of the things drawn, as far as the prompt names them."""
    return [colors.HUES[item.color] for item in scene.items if item.color in colors.HUES]


def _backdrop(scene: Scene, canvas: Canvas) -> str:
    """Return soft circles and a floor, for prompts without a place."""
    random, width, height = canvas.random, canvas.width, canvas.height
    circles = [
        f'<circle cx="{random.uniform(0, width):.0f}" cy="{random.uniform(0, height * 0.8):.0f}" '
        f'r="{random.uniform(6, 26) * canvas.unit:.0f}" fill="#fff" opacity=".12"/>'
        for _ in range(9)
    ]
    hue = colors.HUES.get(scene.background or "", random.random())
    saturation = 0.08 if scene.background in ("white", "black", "gray") else 0.4
    floor = (
        f'<ellipse cx="{width / 2}" cy="{height * 1.03:.0f}" rx="{width * 0.95:.0f}" '
        f'ry="{height * 0.27:.0f}" fill="{shade(hue, saturation, 0.64)}" opacity=".5"/>'
    )
    return "".join([*circles, floor])


def abstract(scene: Scene, canvas: Canvas) -> str:
    """Return colored waves and discs, for prompts that name nothing drawable.

    Its colors are those of the prompt, or derived from it.
    """
    random, width, height = canvas.random, canvas.width, canvas.height
    base = random.random()
    named = [name for name in scene.colors if name != "rainbow"]
    drawn: list[str] = []
    for number in range(9):
        depth = number / 8
        light = 0.78 - 0.46 * depth
        fill = (
            colors.named(named[number % len(named)], 0.68, light)
            if named
            else shade(base + 0.22 * depth + random.uniform(0, 0.03), 0.62, light)
        )
        if number in (1, 3, 5):
            drawn.append(_disc(canvas, shade(base + 0.5, 0.75, 0.66) if not named else fill))
        top = height * (0.24 + 0.74 * depth)
        drawn.append(
            f'<g opacity=".9">{ridge(canvas, top, height * random.uniform(0.05, 0.12), fill)}</g>'
        )
    return "".join(drawn) + (
        f'<rect width="{width}" height="{height}" fill="url(#glow)" opacity=".35"/>'
    )


def _disc(canvas: Canvas, fill: str) -> str:
    random, unit = canvas.random, canvas.unit
    x, y = random.uniform(0.1, 0.9) * canvas.width, random.uniform(0.12, 0.6) * canvas.height
    size = random.uniform(5, 15) * unit
    return (
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{size * 2:.0f}" fill="url(#glow)" opacity=".6"/>'
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{size:.0f}" fill="{fill}"/>'
    )


def _lights_in_the_sky(scene: Scene, canvas: Canvas, name: str) -> str:
    width, height, unit = canvas.width, canvas.height, canvas.unit
    if "moon" in scene.places:
        return _stars(canvas, height) + _earth(canvas)
    if name in ("night", "space"):
        moon = (
            f'<circle cx="{width * 0.8:.0f}" cy="{height * 0.17:.0f}" r="{unit * 22:.0f}" '
            f'fill="url(#glow)" opacity=".5"/><circle cx="{width * 0.8:.0f}" '
            f'cy="{height * 0.17:.0f}" r="{unit * 7.5:.0f}" fill="#fdf3cf"/>'
            f'<circle cx="{width * 0.8 - unit * 2.6:.0f}" cy="{height * 0.17 - unit * 1.6:.0f}" '
            f'r="{unit * 1.5:.0f}" fill="#e9dcb0"/><circle cx="{width * 0.8 + unit * 2.4:.0f}" '
            f'cy="{height * 0.17 + unit * 2:.0f}" r="{unit * 2:.0f}" fill="#e9dcb0"/>'
        )
        return _stars(canvas, canvas.horizon if name == "night" else height) + moon
    if name == "sunset":
        return (
            f'<circle cx="{width / 2}" cy="{canvas.horizon:.0f}" r="{unit * 42:.0f}" '
            f'fill="url(#glow)"/><circle cx="{width / 2}" cy="{canvas.horizon:.0f}" '
            f'r="{unit * 15:.0f}" fill="#ffd36b"/>'
        )
    if name == "day" and "rain" not in scene.weathers and "cloud" not in scene.weathers:
        return (
            f'<circle cx="{width * 0.16:.0f}" cy="{height * 0.15:.0f}" r="{unit * 22:.0f}" '
            f'fill="url(#glow)"/><circle cx="{width * 0.16:.0f}" cy="{height * 0.15:.0f}" '
            f'r="{unit * 6.5:.0f}" fill="#fff1b8"/>'
        )
    return ""


def _earth(canvas: Canvas) -> str:
    x, y, unit = canvas.width * 0.8, canvas.height * 0.18, canvas.unit
    corner = f"{x - unit * 9:.0f} {y - unit * 9:.0f}"
    return (
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{unit * 20:.0f}" fill="url(#glow)" opacity=".5"/>'
        f'<g transform="translate({corner}) scale({unit * 18 / 32:.3f})">'
        f"{vocabulary.icon('globe-showing-europe-africa').replace('§', 'earth_')}</g>"
    )


def _stars(canvas: Canvas, depth: float) -> str:
    random = canvas.random
    return "".join(
        f'<circle cx="{random.uniform(0, canvas.width):.0f}" cy="{random.uniform(0, depth):.0f}" '
        f'r="{random.choice((0.1, 0.15, 0.2, 0.3)) * canvas.unit:.1f}" fill="#fff" '
        f'opacity="{random.uniform(0.4, 1):.2f}"/>'
        for _ in range(130)
    )


def _clouds(scene: Scene, canvas: Canvas, name: str) -> str:
    heavy = bool({"cloud", "rain", "storm", "snow"} & set(scene.weathers))
    fill = {"sunset": "#ffc9a3", "storm": "#667482"}.get(name, "#ffffff")
    random, unit = canvas.random, canvas.unit
    drawn: list[str] = []
    for _ in range(7 if heavy else 3):
        x, y = random.uniform(0, canvas.width), random.uniform(0.06, 0.3) * canvas.height
        size = random.uniform(5, 9) * unit
        puffs = [(-1.2, 0.2, 0.8), (-0.4, -0.3, 1.0), (0.6, -0.1, 0.9), (1.4, 0.25, 0.7)]
        drawn += [
            f'<ellipse cx="{x + dx * size:.0f}" cy="{y + dy * size * 0.6:.0f}" '
            f'rx="{r * size:.0f}" ry="{r * size * 0.55:.0f}"/>'
            for dx, dy, r in puffs
        ]
    return f'<g fill="{fill}" opacity=".85">{"".join(drawn)}</g>'


def _rainbow(canvas: Canvas) -> str:
    arcs = ("#ff6b6b", "#ffb35c", "#ffe66b", "#7fd97f", "#6fb8ff", "#b48cff")
    return "".join(
        f'<circle cx="{canvas.width / 2}" cy="{canvas.horizon + canvas.unit * 6:.0f}" '
        f'r="{canvas.width * 0.42 - number * canvas.unit * 2.2:.0f}" fill="none" '
        f'stroke="{color}" stroke-width="{canvas.unit * 2.3:.1f}" opacity=".55"/>'
        for number, color in enumerate(arcs)
    )


def _land(scene: Scene, canvas: Canvas, name: str) -> str:
    dim = {"night": 0.45, "sunset": 0.72, "storm": 0.5, "space": 0.6}.get(name, 1.0)
    hour = Hour(dim, "snow" in scene.weathers, "autumn" in scene.times)
    painters = [_PAINTERS[place] for place in _by_depth(scene.places) if place in _PAINTERS]
    bare = not painters and not _EMPTY & set(scene.places)
    drawn = [painter(canvas, hour) for painter in painters or ([land.hills] if bare else [])]
    if "neon" in scene.weathers:
        drawn.append(town.neon(canvas))
    return "".join(drawn)


def _by_depth(places: tuple[str, ...]) -> list[str]:
    """Return places with the far ones first; a street includes a city."""
    ordered = [place for place in _PAINTERS if place in places]
    return [place for place in ordered if place != "city" or "street" not in ordered]


# From far to near: each covers the lower part of those before it.
_PAINTERS: Mapping[str, Callable[[Canvas, Hour], str]] = {
    "mountain": land.mountains,
    "city": town.city,
    "street": town.street,
    "desert": land.desert,
    "forest": land.forest,
    "meadow": land.hills,
    "sea": land.sea,
    "beach": land.beach,
    "room": town.room,
    "table": town.table,
    "moon": land.moon_ground,
    "underwater": land.sea_bed,
}
_EMPTY = frozenset({"space", "sky"})
