"""Says whether an installation and its vendors are well, and on demand tries one for real."""

from collections.abc import Sequence
from dataclasses import dataclass

from safelight.cli import actions
from safelight.cli.actions import Manner
from safelight.cli.connect import connected
from safelight.cli.environment import read_settings
from safelight.cli.failure import BadUse, Failure
from safelight.cli.listing import price_of, print_table
from safelight.cli.show import Screen
from safelight.documents import Check, Model

_MARKS = {"ok": "ok", "failed": "FAILED", "unknown": "-"}
_FROM_TEXT, _TO_3D = "text_to_image", "image_to_3d"


@dataclass(frozen=True, slots=True)
class Trial:
    """A job that is really done, and paid: `picture` is what a model of pictures works from."""

    model: str | None
    prompt: str
    picture: str | None


async def examine(provider: str | None, trial: Trial | None, manner: Manner) -> None:
    """Check everything, or one provider; then let that do the trial, if there is one.

    Raises `Failure` where something is not well.
    """
    if trial and not provider:
        raise BadUse("--live tries one provider: name it with --provider.")
    screen = Screen()
    async with connected(read_settings(), works=False, note=screen.note) as link:
        checks = await link.client.checks(provider)
        models = await link.client.models()
    if manner.as_json and not trial:
        screen.document(checks)
    elif not manner.as_json:
        _tell(screen, checks)
    if failed := [check["name"] for check in checks if check["status"] == "failed"]:
        raise Failure(f"Not well: {', '.join(failed)}.")
    if trial and provider:
        await _try(screen, _chosen(models, provider, trial), trial, manner)


def _tell(screen: Screen, checks: Sequence[Check]) -> None:
    rows = [(check["name"], _MARKS[check["status"]], check["detail"]) for check in checks]
    print_table(screen, ("part", "", "what was found"), rows)
    for check in checks:
        if address := check.get("callback_url"):
            screen.note(f"{check['name']} can report to {address}")


def _chosen(models: Sequence[Model], provider: str, trial: Trial) -> Model:
    """Return the model to try: the one named, or the first that needs no more than is given."""
    own = [model for model in models if model["provider"] == provider]
    if trial.model:
        own = [model for model in own if model["id"] == trial.model]
    wanted = {_FROM_TEXT} if trial.picture is None else {"image_to_image", _TO_3D}
    fit = [model for model in own if wanted & set(model["kinds"])]
    if fit:
        return fit[0]
    if own and trial.picture is None:
        raise BadUse(f"{own[0]['id']} works from a picture: give one with --picture.")
    raise BadUse(f"{provider} has no such model: see `safelight models`.")


async def _try(screen: Screen, model: Model, trial: Trial, manner: Manner) -> None:
    if not manner.as_json:
        screen.note(f"One job by {model['id']}, for real; its price: {price_of(model)}.")
    if _TO_3D in model["kinds"] and trial.picture:
        await actions.make_3d([trial.picture], {}, {"model": model["id"]}, [], manner)
        return
    wanted = {"prompt": trial.prompt, "model": model["id"]}
    references = [trial.picture] if trial.picture else []
    await actions.generate(wanted, references, None, [], manner)
