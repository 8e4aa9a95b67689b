"""Paints land and water: hills, peaks, woods, sea, shore, seabed, desert and moon."""

from safelight.providers.local.sketch.canvas import Canvas, Hour, ridge, slope
from safelight.providers.local.sketch.colors import shade

_PETALS = ("#ff8fb3", "#ffd95c", "#ffffff", "#c79bff")
_FIRS = 0.65  # colors of a forest's trees
_AUTUMN = (0.02, 0.05, 0.08, 0.11)


def hills(canvas: Canvas, hour: Hour) -> str:
    top, height = canvas.horizon, canvas.height
    return (
        ridge(canvas, top - height * 0.03, height * 0.06, hour.grass(1.0))
        + ridge(canvas, top + height * 0.06, height * 0.04, hour.grass(0.8))
        + _meadow(canvas, hour)
    )


def mountains(canvas: Canvas, hour: Hour) -> str:
    base = canvas.horizon + canvas.height * 0.16
    drawn: list[str] = []
    for depth, (number, low, high) in enumerate(((6, 0.42, 0.56), (5, 0.26, 0.4))):
        light = 0.74 - 0.17 * depth + (0.1 if hour.snowy else 0)
        for at in range(number):
            x = canvas.width * (at + canvas.random.uniform(0.2, 0.8)) / number
            tall = canvas.height * canvas.random.uniform(low, high)
            drawn.append(_peak(canvas, hour, (x, base, tall), light))
    return "".join(drawn) + _meadow(canvas, hour)


def _peak(canvas: Canvas, hour: Hour, at: tuple[float, float, float], light: float) -> str:
    """Return a mountain of given foot and height, lit from the left, with a snowy top."""
    x, base, tall = at
    top, half = base - tall, tall * canvas.random.uniform(0.62, 0.8)
    lean = canvas.random.uniform(-0.1, 0.1) * half
    cap = tall * (0.5 if hour.snowy else canvas.random.uniform(0.22, 0.32))
    side = half * cap / tall
    zigzag = (
        f"l{side * 0.45:.0f} {-cap * 0.2:.0f} l{side * 0.4:.0f} {cap * 0.28:.0f} "
        f"l{side * 0.4:.0f} {-cap * 0.3:.0f} l{side * 0.35:.0f} {cap * 0.22:.0f}"
    )
    bright, dark = (shade(0.61, 0.27, hour.lit(light + more)) for more in (0, -0.11))
    return (
        f'<path d="M{x - half:.0f} {base:.0f}L{x:.0f} {top:.0f}L{x + half:.0f} {base:.0f}Z" '
        f'fill="{bright}"/><path d="M{x:.0f} {top:.0f}L{x + half:.0f} {base:.0f}'
        f'L{x + lean:.0f} {base:.0f}L{x - half * 0.1:.0f} {top + tall * 0.55:.0f}Z" fill="{dark}"/>'
        f'<path d="M{x:.0f} {top:.0f}L{x - side:.0f} {top + cap:.0f}{zigzag}Z" '
        f'fill="{shade(0.6, 0.4, hour.lit(0.97))}"/>'
    )


def _meadow(canvas: Canvas, hour: Hour) -> str:
    """Return the foreground, with blades of grass, and flowers by day in summer."""
    random, unit, top = canvas.random, canvas.unit, canvas.height * 0.76
    drawn = [
        slope(canvas, "meadow", top, hour.grass(0.66), hour.grass(0.3)),
        ridge(canvas, top, canvas.height * 0.02, "url(#meadow)"),
    ]
    blade = hour.grass(0.9 if hour.snowy else 0.2)
    for _ in range(0 if hour.snowy else 46):
        x, y = random.uniform(0, canvas.width), random.uniform(0.81, 1.0) * canvas.height
        drawn.append(
            f'<path d="M{x:.0f} {y:.0f}l{-unit * 0.5:.1f} {-unit * 1.8:.1f}l{unit * 0.6:.1f} '
            f"{unit * 1.2:.1f}l{unit * 0.5:.1f} {-unit * 1.6:.1f}l{unit * 0.3:.1f} "
            f'{unit * 2:.1f}z" fill="{blade}" opacity=".5"/>'
        )
    if hour.dim > 0.9 and not hour.snowy and not hour.autumn:  # noqa: PLR2004  by day
        drawn += [
            f'<circle cx="{random.uniform(0, canvas.width):.0f}" '
            f'cy="{random.uniform(0.82, 0.99) * canvas.height:.0f}" '
            f'r="{random.uniform(0.35, 0.7) * unit:.1f}" fill="{random.choice(_PETALS)}"/>'
            for _ in range(26)
        ]
    return "".join(drawn)


def forest(canvas: Canvas, hour: Hour) -> str:
    """Return rows of trees, paler with distance."""
    random, height = canvas.random, canvas.height
    drawn = [ridge(canvas, canvas.horizon - height * 0.04, height * 0.04, hour.grass(1.0))]
    for depth in range(3):
        number = 13 - 2 * depth
        for at in range(number):
            x = canvas.width * (at + random.random()) / number
            foot = canvas.horizon + height * (0.02 + 0.055 * depth + random.uniform(0, 0.02))
            tall = random.uniform(17, 25) * canvas.unit * (1 + 0.3 * depth)
            is_fir = hour.snowy or (not hour.autumn and random.random() < _FIRS)
            drawn.append((_fir if is_fir else _oak)(canvas, hour, (x, foot, tall), 2 - depth))
    return "".join(drawn) + _meadow(canvas, hour)


def _trunk(hour: Hour, x: float, foot: float, tall: float) -> str:
    return (
        f'<rect x="{x - tall * 0.035:.0f}" y="{foot - tall * 0.42:.0f}" '
        f'width="{tall * 0.07:.0f}" height="{tall * 0.43:.0f}" '
        f'fill="{shade(0.06, 0.3, hour.lit(0.3))}"/>'
    )


def _fir(canvas: Canvas, hour: Hour, at: tuple[float, float, float], far: int) -> str:
    x, foot, tall = at
    hue = 0.38 + canvas.random.uniform(-0.03, 0.03)
    light = 0.26 + 0.09 * far + canvas.random.uniform(0, 0.05)
    drawn = [_trunk(hour, x, foot, tall)]
    for tier in range(3):
        y, half = foot - tall * (0.14 + tier * 0.25), tall * (0.27 - tier * 0.06)
        fill = shade(hue, 0.34, hour.lit(light + 0.035 * tier))
        drawn.append(
            f'<path d="M{x - half:.0f} {y:.0f}q{half:.0f} {tall * 0.07:.0f} {half * 2:.0f} 0'
            f'L{x:.0f} {y - tall * 0.4:.0f}Z" fill="{fill}"/>'
        )
        if hour.snowy:
            drawn.append(
                f'<path d="M{x - half * 0.5:.0f} {y - tall * 0.2:.0f}q{half * 0.5:.0f} '
                f'{tall * 0.06:.0f} {half:.0f} 0L{x:.0f} {y - tall * 0.4:.0f}Z" '
                f'fill="{shade(0.6, 0.4, hour.lit(0.97))}"/>'
            )
    return "".join(drawn)


def _oak(canvas: Canvas, hour: Hour, at: tuple[float, float, float], far: int) -> str:
    x, foot, tall = at
    random = canvas.random
    hue = random.choice(_AUTUMN) if hour.autumn else random.uniform(0.25, 0.33)
    saturation, light = (0.72, 0.5) if hour.autumn else (0.4, 0.36)
    puffs = ((0, 0.72, 0.24), (-0.17, 0.58, 0.19), (0.17, 0.56, 0.2), (-0.04, 0.84, 0.16))
    return _trunk(hour, x, foot, tall) + "".join(
        f'<circle cx="{x + dx * tall:.0f}" cy="{foot - up * tall:.0f}" r="{r * tall:.0f}" '
        f'fill="{shade(hue, saturation, hour.lit(light + 0.06 * far + 0.05 * (up - 0.6)))}"/>'
        for dx, up, r in puffs
    )


def sea(canvas: Canvas, hour: Hour) -> str:
    random, width, height, unit = canvas.random, canvas.width, canvas.height, canvas.unit
    top = canvas.horizon
    far, near = (shade(0.55, 0.62, hour.lit(light)) for light in (0.6, 0.36))
    waves: list[str] = []
    for _ in range(46):
        y = top + (height - top) * random.random() ** 1.4
        near_by = 0.3 + (y - top) / (height - top)
        long = random.uniform(3, 10) * unit * near_by
        waves.append(
            f'<path d="M{random.uniform(-0.05, 1) * width:.0f} {y:.0f}q{long / 2:.0f} '
            f'{-unit * near_by:.1f} {long:.0f} 0" fill="none" stroke="#fff" opacity=".4" '
            f'stroke-width="{unit * 0.4 * near_by:.1f}" stroke-linecap="round"/>'
        )
    return (
        slope(canvas, "water", top, far, near)
        + f'<rect y="{top:.0f}" width="{width}" height="{height}" fill="url(#water)"/>'
        + "".join(waves)
    )


def beach(canvas: Canvas, hour: Hour) -> str:
    top = canvas.height * 0.79
    wet, dry, edge = (shade(0.115, 0.58, hour.lit(light)) for light in (0.7, 0.8, 0.95))
    state = canvas.random.getstate()
    foam = ridge(canvas, top - canvas.unit * 0.9, canvas.height * 0.016, edge)
    canvas.random.setstate(state)  # the sand follows the foam
    return (
        sea(canvas, hour)
        + foam
        + slope(canvas, "sand", top, wet, dry)
        + ridge(canvas, top, canvas.height * 0.016, "url(#sand)")
    )


def desert(canvas: Canvas, hour: Hour) -> str:
    far, mid, near, low = (shade(0.095, 0.62, hour.lit(light)) for light in (0.78, 0.7, 0.64, 0.5))
    return (
        ridge(canvas, canvas.horizon - canvas.height * 0.02, canvas.height * 0.05, far)
        + ridge(canvas, canvas.horizon + canvas.height * 0.05, canvas.height * 0.06, mid)
        + slope(canvas, "dune", canvas.height * 0.76, near, low)
        + ridge(canvas, canvas.height * 0.78, canvas.height * 0.04, "url(#dune)")
    )


def moon_ground(canvas: Canvas, hour: Hour) -> str:
    del hour  # the moon has no weather or seasons
    random, unit = canvas.random, canvas.unit
    craters: list[str] = []
    for _ in range(13):
        x, y = random.uniform(0, canvas.width), random.uniform(0.8, 0.98) * canvas.height
        wide = random.uniform(2, 8) * unit
        craters.append(
            f'<ellipse cx="{x:.0f}" cy="{y + unit * 0.35:.0f}" rx="{wide:.0f}" '
            f'ry="{wide * 0.24:.0f}" fill="#a9aecb"/><ellipse cx="{x:.0f}" cy="{y:.0f}" '
            f'rx="{wide:.0f}" ry="{wide * 0.22:.0f}" fill="#5f6484"/>'
        )
    return (
        ridge(canvas, canvas.height * 0.7, canvas.height * 0.03, "#666b8e")
        + slope(canvas, "dust", canvas.height * 0.74, "#9398b8", "#6d7294")
        + ridge(canvas, canvas.height * 0.76, canvas.height * 0.018, "url(#dust)")
        + "".join(craters)
    )


def sea_bed(canvas: Canvas, hour: Hour) -> str:
    del hour  # the water looks the same at all hours
    random, unit, height = canvas.random, canvas.unit, canvas.height
    rays = "".join(
        f'<path d="M{x * canvas.width:.0f} 0l{unit * 9:.0f} 0l{unit * 26:.0f} {height * 0.8:.0f}'
        f'l{-unit * 26:.0f} 0z" fill="#fff" opacity=".07"/>'
        for x in (random.uniform(-0.2, 0.8) for _ in range(5))
    )
    weeds = "".join(
        f'<path d="M{random.uniform(0, canvas.width):.0f} {height} '
        f"q{random.uniform(-4, 4) * unit:.0f} {-random.uniform(8, 18) * unit:.0f} "
        f'{random.uniform(-3, 3) * unit:.0f} {-random.uniform(16, 34) * unit:.0f}" fill="none" '
        f'stroke="{shade(random.uniform(0.3, 0.45), 0.5, 0.34)}" '
        f'stroke-width="{unit * 1.7:.1f}" stroke-linecap="round"/>'
        for _ in range(16)
    )
    return (
        rays
        + ridge(canvas, height * 0.84, height * 0.03, "#2d8fa8")
        + weeds
        + slope(canvas, "bed", height * 0.88, "#f0dca6", "#c9a869")
        + ridge(canvas, height * 0.9, height * 0.018, "url(#bed)")
    )
