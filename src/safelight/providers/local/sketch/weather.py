"""Paints the foreground weather: rain, snow, fog, bubbles, leaves, and a vignette."""

from safelight.providers.local.sketch.canvas import Canvas
from safelight.providers.local.sketch.prompt import Scene


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
