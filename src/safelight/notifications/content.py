"""Renders notices from template files, which an operator can override one by one."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safelight.errors import SettingInvalid
from safelight.notifications.notice import Content

if TYPE_CHECKING:
    import jinja2

_SHORT = 160  # characters in one SMS
_OURS = Path(__file__).parent / "templates"


class Templates:
    """Templates per kind of notice: `.txt`, with the subject first, `.html` and `.sms`."""

    def __init__(self, own: Path | None) -> None:
        """Prefer templates in the operator's `own` folder; raise `SettingInvalid` if invalid."""
        self._own = own
        if own is not None:
            self._check(own)

    @cached_property
    def _env(self) -> "jinja2.Environment":
        import jinja2  # noqa: PLC0415  few processes write notices

        return jinja2.Environment(
            loader=jinja2.FileSystemLoader([*filter(None, [self._own]), _OURS]),
            autoescape=jinja2.select_autoescape(["html"]),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def _check(self, own: Path) -> None:
        from jinja2 import TemplateError  # noqa: PLC0415  see above

        if not own.is_dir():
            raise SettingInvalid(f"The template folder does not exist: {own}")
        for name in self._env.list_templates(extensions=["txt", "html", "sms"]):
            try:
                self._env.get_template(name)
            except TemplateError as error:
                raise SettingInvalid(f"The template {name} is invalid: {error}") from error

    def write(self, kind: str, facts: Mapping[str, Any], data: str = "") -> Content:
        """Render a notice; `facts` are the template variables."""
        short = " ".join(self._render(f"{kind}.sms", facts).split())
        mail = self._mail(kind, facts)
        return replace(
            mail, short=short if len(short) <= _SHORT else short[: _SHORT - 1] + "…", data=data
        )

    def letter(self, facts: Mapping[str, Any]) -> Content:
        """Render a mail to a user of this installation, which has no short form."""
        return self._mail("letter", facts)

    def _mail(self, kind: str, facts: Mapping[str, Any]) -> Content:
        subject, _, body = self._render(f"{kind}.txt", facts).partition("\n")
        return Content(
            subject=" ".join(subject.split())[:200],
            text=body.strip() + "\n",
            html=self._render(f"{kind}.html", facts),
            short="",
            data="",
        )

    def page(self, facts: Mapping[str, Any]) -> str:
        """Render the confirmation page for a link."""
        return self._render("page.html", facts)

    def _render(self, name: str, facts: Mapping[str, Any]) -> str:
        return self._env.get_template(name).render(facts)
