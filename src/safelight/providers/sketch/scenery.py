"""Paints where it happens: sky, far land, ground and weather, from places, times and weathers."""

import math
from dataclasses import dataclass
from random import Random

from safelight.providers.sketch import colours
from safelight.providers.sketch.colours import shade
from safelight.providers.sketch.prompt import Scene

_SKIES = {
    "day": ("#5db8f0", "#e3f4ff"),
    "sunset": ("#3b2a6e", "#ff9a5a"),
    "night": ("#0b1234", "#34548f"),
    "space": ("#090d29", "#3a2270"),
    "underwater": ("#41c9e2", "#07396b"),
    "room": ("#f6e6d0", "#e9cfab"),
    "storm": ("#3d4a5c", "#8fa0b0"),
}
_INDOORS = frozenset({"room", "table"})
_NO_SKY = frozenset({"space", "underwater", *_INDOORS})


@dataclass(frozen=True, slots=True)
class Canvas:
    """The size of the picture and the random numbers that decide its details."""

    width: int
    height: int
    random: Random

    @property
    def horizon(self) -> float:
        """The height of the horizon, in pixels from the top."""
        return self.height * 0.62

    @property
    def unit(self) -> float:
        """A hundredth of the shorter side."""
        return min(self.width, self.height) / 100


def mood(scene: Scene) -> str:
    """Return which sky a scene has; empty where the prompt names neither place nor time."""
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


def before(scene: Scene, canvas: Canvas) -> str:
    """Return the weather and light in front of the subjects."""
    parts: list[str] = []
    if "rain" in scene.weathers or "storm" in scene.weathers:
        parts.append(_rain(canvas))
    if "snow" in scene.weathers:
        parts.append(_flakes(canvas, 90))
    if "fog" in scene.weathers:
        parts.append(_fog(canvas))
    if "underwater" in scene.places:
        parts.append(_bubbles(canvas))
    if "autumn" in scene.times or "spring" in scene.times:
        parts.append(_falling_leaves(canvas, "autumn" in scene.times))
    return "".join([*parts, _vignette(canvas)])


def _sky(scene: Scene, canvas: Canvas, name: str, palette: tuple[str, str] | None) -> str:
    top, bottom = palette or _sky_colours(scene, canvas, name)
    return (
        f'<defs><linearGradient id="sky" x2="0" y2="1"><stop stop-color="{top}"/>'
        f'<stop offset="1" stop-color="{bottom}"/></linearGradient>'
        '<radialGradient id="glow"><stop stop-color="#fff" stop-opacity=".55"/>'
        '<stop offset="1" stop-color="#fff" stop-opacity="0"/></radialGradient></defs>'
        f'<rect width="{canvas.width}" height="{canvas.height}" fill="url(#sky)"/>'
    )


def _sky_colours(scene: Scene, canvas: Canvas, name: str) -> tuple[str, str]:
    if scene.background:
        return colours.named(scene.background, 0.5, 0.62), colours.named(
            scene.background, 0.6, 0.86
        )
    if name:
        top, bottom = _SKIES[name]
        return (top, "#ef7fb0") if "neon" in scene.weathers and name == "night" else (top, bottom)
    hue = canvas.random.random()
    if scene.colours and scene.colours[0] in colours.HUES:
        hue = colours.HUES[scene.colours[0]]
    return shade(hue, 0.55, 0.7), shade(hue + 0.09, 0.7, 0.9)


def _backdrop(scene: Scene, canvas: Canvas) -> str:
    """Return soft circles and a floor, for prompts that name no place."""
    random, width, height = canvas.random, canvas.width, canvas.height
    circles = [
        f'<circle cx="{random.uniform(0, width):.0f}" cy="{random.uniform(0, height * 0.8):.0f}" '
        f'r="{random.uniform(6, 26) * canvas.unit:.0f}" fill="#fff" opacity=".12"/>'
        for _ in range(9)
    ]
    hue = colours.HUES.get(scene.background or "", random.random())
    saturation = 0.08 if scene.background in ("white", "black", "grey") else 0.4
    floor = (
        f'<ellipse cx="{width / 2}" cy="{height * 1.03:.0f}" rx="{width * 0.95:.0f}" '
        f'ry="{height * 0.27:.0f}" fill="{shade(hue, saturation, 0.64)}" opacity=".5"/>'
    )
    return "".join([*circles, floor])


def abstract(scene: Scene, canvas: Canvas) -> str:
    """Return ribbons of colour: an honest picture for words that name nothing we can draw."""
    random, width, height = canvas.random, canvas.width, canvas.height
    base = random.random()
    named = [colours.HUES[name] for name in scene.colours if name in colours.HUES]
    ribbons: list[str] = []
    for number in range(22):
        hue = random.choice(named) if named else base + random.choice((0, 0.06, 0.5, 0.58))
        y = height * (0.1 + 0.8 * number / 22) + random.uniform(-8, 8) * canvas.unit
        lift = random.uniform(-30, 30) * canvas.unit
        ribbons.append(
            f'<path d="M{-width * 0.1:.0f} {y:.0f} C{width * 0.3:.0f} {y + lift:.0f} '
            f'{width * 0.7:.0f} {y - lift:.0f} {width * 1.1:.0f} {y + lift * 0.4:.0f}" fill="none" '
            f'stroke="{shade(hue, 0.65, random.uniform(0.45, 0.75))}" stroke-linecap="round" '
            f'stroke-width="{random.uniform(1, 7) * canvas.unit:.0f}" opacity=".55"/>'
        )
    return "".join(ribbons)


def _lights_in_the_sky(scene: Scene, canvas: Canvas, name: str) -> str:
    width, height, unit = canvas.width, canvas.height, canvas.unit
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
            f'rx="{r * size:.0f}" ry="{r * size * 0.55:.0f}" fill="{fill}" opacity=".8"/>'
            for dx, dy, r in puffs
        ]
    return "".join(drawn)


def _rainbow(canvas: Canvas) -> str:
    arcs = ("#ff6b6b", "#ffb35c", "#ffe66b", "#7fd97f", "#6fb8ff", "#b48cff")
    return "".join(
        f'<circle cx="{canvas.width / 2}" cy="{canvas.horizon + canvas.unit * 6:.0f}" '
        f'r="{canvas.width * 0.42 - number * canvas.unit * 2.2:.0f}" fill="none" '
        f'stroke="{colour}" stroke-width="{canvas.unit * 2.3:.1f}" opacity=".55"/>'
        for number, colour in enumerate(arcs)
    )


def _ridge(canvas: Canvas, base: float, height: float, fill: str, *, sharp: bool = False) -> str:
    """Return a silhouette of hills, or of peaks, whose mean height is at `base`."""
    random = canvas.random
    first, second = random.uniform(0, 9), random.uniform(0, 9)
    steps = 14 if sharp else 48
    points: list[str] = []
    for step in range(steps + 1):
        wave = math.sin(step * 15 / steps + first) * 0.5 + math.sin(step * 6 / steps + second) * 0.5
        peak = (-1 if step % 2 else 0.6) * random.uniform(0.5, 1) if sharp else wave
        points.append(f"{canvas.width * step / steps:.0f} {base + height * peak:.0f}")
    return (
        f'<path d="M0 {canvas.height} L{" L".join(points)} L{canvas.width} {canvas.height}Z" '
        f'fill="{fill}"/>'
    )


def _land(scene: Scene, canvas: Canvas, name: str) -> str:
    drawn: list[str] = []
    dim = {"night": 0.45, "sunset": 0.72, "storm": 0.75, "space": 0.6}.get(name, 1.0)
    snowy = "snow" in scene.weathers
    for place in scene.places:
        painter = _PAINTERS.get(place)
        if painter is not None:
            drawn.append(painter(canvas, dim, snowy))
    if not drawn:
        drawn.append(_hills(canvas, dim, snowy))
    if "neon" in scene.weathers:
        drawn.append(_neon(canvas))
    return "".join(drawn)


def _green(dim: float, snowy: bool, light: float) -> str:
    return (
        shade(0.58, 0.25, (0.8 + light * 0.2) * (0.55 + 0.45 * dim))
        if snowy
        else shade(0.29, 0.38, (0.35 + light * 0.3) * dim)
    )


def _hills(canvas: Canvas, dim: float, snowy: bool) -> str:
    height = canvas.height
    return _ridge(canvas, canvas.horizon, height * 0.06, _green(dim, snowy, 0.75)) + _ridge(
        canvas, height * 0.77, height * 0.025, _green(dim, snowy, 0.45)
    )


def _mountains(canvas: Canvas, dim: float, snowy: bool) -> str:
    height = canvas.height
    far = shade(0.6, 0.3, (0.82 if snowy else 0.66) * (0.45 + 0.55 * dim))
    near = shade(0.58, 0.22, (0.9 if snowy else 0.52) * (0.45 + 0.55 * dim))
    return (
        _ridge(canvas, canvas.horizon - height * 0.08, height * 0.17, far, sharp=True)
        + _ridge(canvas, canvas.horizon + height * 0.02, height * 0.1, near, sharp=True)
        + _ridge(canvas, height * 0.77, height * 0.025, _green(dim, snowy, 0.5))
    )


def _forest(canvas: Canvas, dim: float, snowy: bool) -> str:
    random, height, unit = canvas.random, canvas.height, canvas.unit
    drawn = [_ridge(canvas, canvas.horizon, height * 0.05, _green(dim, snowy, 0.7))]
    for number in range(18):
        x = canvas.width * (number + random.random()) / 18
        base = canvas.horizon + random.uniform(2, 12) * unit
        size = random.uniform(14, 30) * unit
        fill = shade(0.38, 0.35, random.uniform(0.24, 0.36) * (0.5 + 0.5 * dim))
        drawn.append(
            f'<rect x="{x - size * 0.04:.0f}" y="{base - size * 0.2:.0f}" '
            f'width="{size * 0.08:.0f}" height="{size * 0.22:.0f}" fill="#5b4231"/>'
        )
        for tier in range(3):
            y, half = base - size * (0.15 + tier * 0.26), size * (0.3 - tier * 0.07)
            drawn.append(
                f'<path d="M{x - half:.0f} {y:.0f} L{x:.0f} {y - size * 0.42:.0f} '
                f'L{x + half:.0f} {y:.0f}Z" fill="{fill}"/>'
            )
            if snowy:
                drawn.append(
                    f'<path d="M{x - half * 0.45:.0f} {y - size * 0.23:.0f} L{x:.0f} '
                    f'{y - size * 0.42:.0f} L{x + half * 0.45:.0f} {y - size * 0.23:.0f}Z" '
                    'fill="#fff"/>'
                )
    drawn.append(_ridge(canvas, height * 0.78, height * 0.02, _green(dim, snowy, 0.42)))
    return "".join(drawn)


def _sea(canvas: Canvas, dim: float, snowy: bool) -> str:
    del snowy
    random, width, height, unit = canvas.random, canvas.width, canvas.height, canvas.unit
    water = shade(0.56, 0.6, 0.46 * (0.4 + 0.6 * dim))
    waves = "".join(
        f'<rect x="{random.uniform(-5 * unit, width):.0f}" '
        f'y="{random.uniform(canvas.horizon + unit, height):.0f}" '
        f'width="{random.uniform(4, 18) * unit:.0f}" height="{unit * 0.45:.1f}" '
        f'rx="{unit * 0.2:.1f}" fill="#fff" opacity=".32"/>'
        for _ in range(42)
    )
    return (
        f'<rect y="{canvas.horizon:.0f}" width="{width}" height="{height}" fill="{water}"/>{waves}'
    )


def _beach(canvas: Canvas, dim: float, snowy: bool) -> str:
    sand = shade(0.115, 0.6, 0.76 * (0.5 + 0.5 * dim))
    return _sea(canvas, dim, snowy) + _ridge(
        canvas, canvas.height * 0.8, canvas.height * 0.018, sand
    )


def _desert(canvas: Canvas, dim: float, snowy: bool) -> str:
    del snowy
    near, far = (shade(0.1, 0.6, light * (0.45 + 0.55 * dim)) for light in (0.62, 0.74))
    return _ridge(canvas, canvas.horizon, canvas.height * 0.06, far) + _ridge(
        canvas, canvas.height * 0.78, canvas.height * 0.04, near
    )


def _city(canvas: Canvas, dim: float, snowy: bool) -> str:
    random, width, height, unit = canvas.random, canvas.width, canvas.height, canvas.unit
    lit = dim < 0.9  # noqa: PLR2004  windows glow from dusk on
    drawn: list[str] = []
    for depth in (0, 1):
        x = -2 * unit
        while x < width:
            wide = random.uniform(7, 13) * unit
            tall = random.uniform(16, 34 if depth else 48) * unit
            top = canvas.horizon + 8 * unit - tall
            body = shade(0.63, 0.28, (0.6 - 0.14 * depth) * (0.3 + 0.7 * dim))
            drawn.append(
                f'<rect x="{x:.0f}" y="{top:.0f}" width="{wide:.0f}" height="{height:.0f}" '
                f'fill="{body}"/>'
            )
            drawn += _windows(canvas, x, top, wide, tall, lit=lit)
            x += wide * (1.04 if depth else 1.3)
    ground = shade(0.6, 0.2, 0.9) if snowy else shade(0.63, 0.12, 0.42 * (0.4 + 0.6 * dim))
    drawn.append(
        f'<rect y="{height * 0.77:.0f}" width="{width}" height="{height}" fill="{ground}"/>'
    )
    return "".join(drawn)


def _windows(
    canvas: Canvas, x: float, top: float, wide: float, tall: float, *, lit: bool
) -> list[str]:
    random, unit = canvas.random, canvas.unit
    glass = ("#ffd97a", "#ffe9b0", "#ffb86b", "#3c4668") if lit else ("#cfe6f7", "#b5d4ec")
    return [
        f'<rect x="{x + wide * (0.14 + column * 0.26):.0f}" '
        f'y="{top + unit * (2 + row * 4.4):.0f}" width="{wide * 0.16:.0f}" '
        f'height="{unit * 2.3:.0f}" fill="{random.choice(glass)}" opacity=".9"/>'
        for column in range(3)
        for row in range(int(tall / (unit * 4.6)))
    ]


def _street(canvas: Canvas, dim: float, snowy: bool) -> str:
    width, height, unit = canvas.width, canvas.height, canvas.unit
    asphalt = shade(0.63, 0.1, 0.34 * (0.5 + 0.5 * dim))
    lines = "".join(
        f'<rect x="{number * width / 6 + unit * 2:.0f}" y="{height * 0.91:.0f}" '
        f'width="{width / 10:.0f}" height="{unit * 0.9:.1f}" fill="#f2d36b"/>'
        for number in range(6)
    )
    return (
        _city(canvas, dim, snowy)
        + f'<rect y="{height * 0.82:.0f}" width="{width}" height="{height}" fill="{asphalt}"/>'
        + lines
    )


def _neon(canvas: Canvas) -> str:
    random, unit = canvas.random, canvas.unit
    drawn: list[str] = []
    for _ in range(9):
        x, y = random.uniform(0, canvas.width), random.uniform(0.3, 0.7) * canvas.height
        colour = random.choice(("#ff4fa3", "#39e6ff", "#b05cff", "#ffe14f"))
        wide, tall = random.uniform(2, 4) * unit, random.uniform(8, 16) * unit
        drawn.append(
            f'<rect x="{x - unit:.0f}" y="{y - unit:.0f}" width="{wide + 2 * unit:.0f}" '
            f'height="{tall + 2 * unit:.0f}" rx="{unit * 1.6:.1f}" fill="{colour}" opacity=".22"/>'
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{tall:.0f}" '
            f'rx="{unit * 0.8:.1f}" fill="none" stroke="{colour}" stroke-width="{unit * 0.7:.1f}"/>'
        )
    return "".join(drawn)


def _room(canvas: Canvas, dim: float, snowy: bool) -> str:
    del dim, snowy
    width, height, unit = canvas.width, canvas.height, canvas.unit
    x, y, wide, tall = width * 0.62, height * 0.12, unit * 30, unit * 34
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{tall:.0f}" rx="{unit:.0f}" '
        'fill="#bfe3f7"/>'
        f'<path d="M{x:.0f} {y + tall / 2:.0f} h{wide:.0f} M{x + wide / 2:.0f} {y:.0f} '
        f'v{tall:.0f}" stroke="#fff" stroke-width="{unit:.1f}"/>'
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{tall:.0f}" rx="{unit:.0f}" '
        f'fill="none" stroke="#fff" stroke-width="{unit * 1.6:.1f}"/>'
        f'<rect y="{height * 0.7:.0f}" width="{width}" height="{height}" fill="#b07c4f"/>'
        f'<rect y="{height * 0.7:.0f}" width="{width}" height="{unit * 1.6:.0f}" fill="#cf9b6c"/>'
    )


def _moon_ground(canvas: Canvas, dim: float, snowy: bool) -> str:
    del dim, snowy
    random, unit = canvas.random, canvas.unit
    craters = "".join(
        f'<ellipse cx="{random.uniform(0, canvas.width):.0f}" '
        f'cy="{random.uniform(0.78, 0.98) * canvas.height:.0f}" '
        f'rx="{random.uniform(2, 8) * unit:.0f}" ry="{random.uniform(0.6, 1.8) * unit:.0f}" '
        'fill="#5f6484"/>'
        for _ in range(14)
    )
    return _ridge(canvas, canvas.height * 0.74, canvas.height * 0.02, "#7d82a3") + craters


def _sea_bed(canvas: Canvas, dim: float, snowy: bool) -> str:
    del dim, snowy
    random, unit = canvas.random, canvas.unit
    weeds = "".join(
        f'<path d="M{random.uniform(0, canvas.width):.0f} {canvas.height} '
        f"q{random.uniform(-4, 4) * unit:.0f} {-random.uniform(8, 18) * unit:.0f} "
        f'{random.uniform(-3, 3) * unit:.0f} {-random.uniform(16, 34) * unit:.0f}" fill="none" '
        f'stroke="{shade(random.uniform(0.3, 0.45), 0.5, 0.34)}" '
        f'stroke-width="{unit * 1.6:.1f}" stroke-linecap="round"/>'
        for _ in range(16)
    )
    return weeds + _ridge(canvas, canvas.height * 0.9, canvas.height * 0.02, "#e2c98d")


def _nothing(canvas: Canvas, dim: float, snowy: bool) -> str:
    del canvas, dim, snowy
    return ""


_PAINTERS = {
    "mountain": _mountains,
    "forest": _forest,
    "meadow": _hills,
    "desert": _desert,
    "sea": _sea,
    "beach": _beach,
    "city": _city,
    "street": _street,
    "room": _room,
    "table": _room,
    "moon": _moon_ground,
    "underwater": _sea_bed,
    "space": _nothing,
    "sky": _nothing,
}


def _rain(canvas: Canvas) -> str:
    random, unit = canvas.random, canvas.unit
    return "".join(
        f'<path d="M{random.uniform(0, canvas.width * 1.1):.0f} '
        f'{random.uniform(-0.05, 1) * canvas.height:.0f} l{-unit:.1f} {unit * 4:.1f}" '
        f'stroke="#dbeeff" stroke-width="{unit * 0.25:.2f}" opacity=".55"/>'
        for _ in range(150)
    )


def _flakes(canvas: Canvas, count: int) -> str:
    random = canvas.random
    return "".join(
        f'<circle cx="{random.uniform(0, canvas.width):.0f}" '
        f'cy="{random.uniform(0, canvas.height):.0f}" '
        f'r="{random.uniform(0.2, 0.65) * canvas.unit:.1f}" fill="#fff" opacity=".9"/>'
        for _ in range(count)
    )


def _fog(canvas: Canvas) -> str:
    return "".join(
        f'<ellipse cx="{canvas.random.uniform(0, canvas.width):.0f}" '
        f'cy="{canvas.height * level:.0f}" rx="{canvas.width * 0.7:.0f}" '
        f'ry="{canvas.unit * 7:.0f}" fill="#f3f6f9" opacity=".38"/>'
        for level in (0.5, 0.6, 0.7, 0.8, 0.9)
    )


def _bubbles(canvas: Canvas) -> str:
    random, unit = canvas.random, canvas.unit
    return "".join(
        f'<circle cx="{random.uniform(0, canvas.width):.0f}" '
        f'cy="{random.uniform(0, canvas.height):.0f}" r="{random.uniform(0.4, 1.6) * unit:.1f}" '
        f'fill="#fff" fill-opacity=".12" stroke="#fff" stroke-width="{unit * 0.2:.1f}" '
        'opacity=".6"/>'
        for _ in range(30)
    )


def _falling_leaves(canvas: Canvas, autumn: bool) -> str:
    random, unit = canvas.random, canvas.unit
    shades = ("#e0752d", "#c94f2b", "#e8a83a") if autumn else ("#ffc4d9", "#ffdfea", "#ff9fc0")
    return "".join(
        f'<ellipse transform="translate({random.uniform(0, canvas.width):.0f} '
        f'{random.uniform(0, canvas.height):.0f}) rotate({random.uniform(0, 180):.0f})" '
        f'rx="{unit * 1.1:.1f}" ry="{unit * 0.5:.1f}" fill="{random.choice(shades)}"/>'
        for _ in range(46)
    )


def _vignette(canvas: Canvas) -> str:
    return (
        '<defs><radialGradient id="edge" r=".75"><stop offset=".65" stop-opacity="0"/>'
        '<stop offset="1" stop-opacity=".22"/></radialGradient></defs>'
        f'<rect width="{canvas.width}" height="{canvas.height}" fill="url(#edge)"/>'
    )
