"""Paints man-made places: city, streets, neon signs, rooms and tables."""

from safelight.providers.local.sketch.canvas import Canvas, Hour, slope
from safelight.providers.local.sketch.colors import shade

_SIGNS = ("#ff4fa3", "#39e6ff", "#b05cff", "#ffe14f", "#5cff9d")
_LAMPLIGHT = ("#ffd97a", "#ffe9b0", "#ffb86b", "#3c4668")
_DAYLIGHT = ("#d9ecfa", "#bcd9ee")
_DUSK = 0.9  # windows are lit below this brightness


def city(canvas: Canvas, hour: Hour) -> str:
    random, unit = canvas.random, canvas.unit
    drawn: list[str] = []
    for depth in (0, 1):
        x = -2 * unit
        while x < canvas.width:
            wide = random.uniform(7, 13) * unit
            tall = random.uniform(16, 34 if depth else 52) * unit
            top = canvas.horizon + 12 * unit - tall
            body = shade(0.63, 0.26, hour.lit(0.68 - 0.2 * depth) * (0.5 + 0.5 * hour.dim))
            drawn.append(
                f'<rect x="{x:.0f}" y="{top:.0f}" width="{wide:.0f}" height="{canvas.height}" '
                f'fill="{body}"/><rect x="{x + wide * 0.72:.0f}" y="{top:.0f}" '
                f'width="{wide * 0.28:.0f}" height="{canvas.height}" opacity=".12"/>'
            )
            drawn += _windows(canvas, (x, top, wide, tall), lit=hour.dim < _DUSK)
            x += wide * (1.04 if depth else 1.25)
    ground = shade(0.6, 0.2, 0.9) if hour.snowy else shade(0.63, 0.12, hour.lit(0.46))
    low = shade(0.6, 0.15, 0.82) if hour.snowy else shade(0.63, 0.14, hour.lit(0.3))
    top = canvas.height * 0.77
    return (
        "".join(drawn)
        + slope(canvas, "pavement", top, ground, low)
        + f'<rect y="{top:.0f}" width="{canvas.width}" height="{canvas.height}" '
        'fill="url(#pavement)"/>'
    )


def _windows(canvas: Canvas, house: tuple[float, float, float, float], *, lit: bool) -> list[str]:
    x, top, wide, tall = house
    random, unit = canvas.random, canvas.unit
    glass = _LAMPLIGHT if lit else _DAYLIGHT
    return [
        f'<rect x="{x + wide * (0.14 + column * 0.26):.0f}" '
        f'y="{top + unit * (2 + row * 4.4):.0f}" width="{wide * 0.16:.0f}" '
        f'height="{unit * 2.3:.0f}" fill="{random.choice(glass)}" opacity=".9"/>'
        for column in range(3)
        for row in range(int(tall / (unit * 4.6)))
    ]


def street(canvas: Canvas, hour: Hour) -> str:
    width, height, unit = canvas.width, canvas.height, canvas.unit
    far, near = (shade(0.63, 0.1, hour.lit(light)) for light in (0.4, 0.27))
    lines = "".join(
        f'<rect x="{number * width / 6 + unit * 2:.0f}" y="{height * 0.915:.0f}" '
        f'width="{width / 10:.0f}" height="{unit * 0.9:.1f}" fill="#f2d36b" opacity=".85"/>'
        for number in range(6)
    )
    top = height * 0.82
    return (
        city(canvas, hour)
        + slope(canvas, "asphalt", top, far, near)
        + f'<rect y="{top:.0f}" width="{width}" height="{height}" fill="url(#asphalt)"/>'
        + f'<rect y="{top:.0f}" width="{width}" height="{unit * 0.8:.1f}" fill="#fff" '
        + f'opacity=".25"/>{lines}'
    )


def neon(canvas: Canvas) -> str:
    """Return glowing signs on the houses, and their light on the ground."""
    random, unit = canvas.random, canvas.unit
    drawn: list[str] = []
    for number in range(11):
        x = canvas.width * (number + random.uniform(0.1, 0.9)) / 11
        y = random.uniform(0.3, 0.6) * canvas.height
        color = random.choice(_SIGNS)
        wide, tall = random.uniform(2, 4) * unit, random.uniform(8, 16) * unit
        drawn += [
            f'<rect x="{x - grow:.0f}" y="{y - grow:.0f}" width="{wide + 2 * grow:.0f}" '
            f'height="{tall + 2 * grow:.0f}" rx="{unit + grow:.1f}" fill="{color}" '
            'opacity=".1"/>'
            for grow in (unit * 2.4, unit * 1.5, unit * 0.7)
        ]
        drawn.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{tall:.0f}" '
            f'rx="{unit * 0.8:.1f}" fill="{color}" fill-opacity=".25" stroke="{color}" '
            f'stroke-width="{unit * 0.7:.1f}"/>'
            f'<ellipse cx="{x + wide / 2:.0f}" cy="{canvas.height * 0.88:.0f}" '
            f'rx="{wide * 0.8:.0f}" ry="{canvas.height * 0.1:.0f}" fill="{color}" opacity=".16"/>'
        )
    return "".join(drawn)


def room(canvas: Canvas, hour: Hour) -> str:
    del hour  # lamps are on
    width, height, unit = canvas.width, canvas.height, canvas.unit
    boards = "".join(
        f'<path d="M{width * (0.5 + (at - 4) * 0.1):.0f} {height * 0.72:.0f}'
        f'L{width * (0.5 + (at - 4) * 0.24):.0f} {height}" stroke="#8d5f3a" '
        f'stroke-width="{unit * 0.3:.1f}" opacity=".6"/>'
        for at in range(9)
    )
    top = height * 0.7
    return (
        f"{_window(canvas)}{_picture(canvas)}"
        + slope(canvas, "floor", top, "#c08a5b", "#94633c")
        + f'<rect y="{top:.0f}" width="{width}" height="{height}" fill="url(#floor)"/>{boards}'
        + f'<rect y="{top - unit * 1.4:.0f}" width="{width}" height="{unit * 2.2:.0f}" '
        'fill="#fff6e8"/>'
    )


def table(canvas: Canvas, hour: Hour) -> str:
    """Return a room with a table in front that things stand on."""
    width, height, unit = canvas.width, canvas.height, canvas.unit
    top = height * 0.8
    random = canvas.random
    grain = "".join(
        f'<path d="M{random.uniform(-0.1, 0.8) * width:.0f} '
        f'{random.uniform(0.82, 0.95) * height:.0f}h{random.uniform(8, 30) * unit:.0f}" '
        f'stroke="#8a5429" stroke-width="{unit * 0.3:.1f}" opacity=".4" stroke-linecap="round"/>'
        for _ in range(16)
    )
    return (
        room(canvas, hour)
        + slope(canvas, "board", top, "#d99a5e", "#b97a42")
        + f'<path d="M{width * 0.06:.0f} {top:.0f}H{width * 0.94:.0f}L{width * 1.04:.0f} '
        f'{height * 0.965:.0f}H{-width * 0.04:.0f}Z" fill="url(#board)"/>{grain}'
        f'<rect x="{-width * 0.04:.0f}" y="{height * 0.965:.0f}" width="{width * 1.08:.0f}" '
        f'height="{height * 0.05:.0f}" fill="#8a5429"/>'
    )


def _window(canvas: Canvas) -> str:
    width, height, unit = canvas.width, canvas.height, canvas.unit
    x, y, wide, tall = width * 0.9 - unit * 28, height * 0.1, unit * 28, unit * 32
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{tall:.0f}" fill="#bfe3f7"/>'
        f'<path d="M{x:.0f} {y + tall:.0f}v{-tall * 0.25:.0f}q{wide * 0.3:.0f} {-tall * 0.2:.0f} '
        f'{wide:.0f} {-tall * 0.03:.0f}v{tall * 0.28:.0f}z" fill="#8fcf8a"/>'
        f'<path d="M{x:.0f} {y + tall / 2:.0f}h{wide:.0f}M{x + wide / 2:.0f} {y:.0f}'
        f'v{tall:.0f}" stroke="#fff" stroke-width="{unit:.1f}"/>'
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{tall:.0f}" rx="{unit:.0f}" '
        f'fill="none" stroke="#fff" stroke-width="{unit * 1.6:.1f}"/>'
    )


def _picture(canvas: Canvas) -> str:
    unit = canvas.unit
    x, y = canvas.width * 0.1, canvas.height * 0.16
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{unit * 18:.0f}" height="{unit * 14:.0f}" '
        f'fill="#f7c7a8" stroke="#a8744a" stroke-width="{unit * 1.2:.1f}"/>'
        f'<circle cx="{x + unit * 12:.0f}" cy="{y + unit * 5:.0f}" r="{unit * 2:.1f}" '
        f'fill="#fff3c9"/><path d="M{x + unit:.0f} {y + unit * 13:.0f}l{unit * 6:.0f} '
        f"{-unit * 7:.0f}l{unit * 4:.0f} {unit * 4:.0f}l{unit * 2:.0f} {-unit * 2:.0f}"
        f'l{unit * 4:.0f} {unit * 5:.0f}z" fill="#b0708c"/>'
    )
