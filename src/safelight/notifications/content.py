"""Writes what a notice says, from templates in files that an operator may replace one by one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from safelight.errors import SettingInvalid
from safelight.notifications.notice import Content

_SHORT = 160  # characters that one SMS takes
_OURS = Path(__file__).parent / "templates"


class Templates:
    """A `.txt` for each kind of notice, with its subject first, an `.html`, and an `.sms`."""

    def __init__(self, own: Path | None) -> None:
        """Look in the operator's `own` folder first; raise `SettingInvalid` for a broken one."""
        self._env = jinja2.Environment(
            loader=jinja2.FileSystemLoader([*filter(None, [own]), _OURS]),
            autoescape=jinja2.select_autoescape(["html"]),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        if own is None:
            return
        if not own.is_dir():
            raise SettingInvalid(f"The folder of templates is not there: {own}")
        for name in self._env.list_templates(extensions=["txt", "html", "sms"]):
            try:
                self._env.get_template(name)
            except jinja2.TemplateError as error:
                raise SettingInvalid(f"The template {name} has a mistake: {error}") from error

    def write(self, kind: str, facts: Mapping[str, Any], data: str = "") -> Content:
        """Return what there is to say; `facts` are what the templates name."""
        text = self._render(f"{kind}.txt", facts)
        subject, _, body = text.partition("\n")
        short = " ".join(self._render(f"{kind}.sms", facts).split())
        return Content(
            subject=" ".join(subject.split())[:200],
            text=body.strip() + "\n",
            html=self._render(f"{kind}.html", facts),
            short=short if len(short) <= _SHORT else short[: _SHORT - 1] + "…",
            data=data,
        )

    def page(self, facts: Mapping[str, Any]) -> str:
        """Return the page that asks who followed a link whether they meant it."""
        return self._render("page.html", facts)

    def _render(self, name: str, facts: Mapping[str, Any]) -> str:
        return self._env.get_template(name).render(facts)
