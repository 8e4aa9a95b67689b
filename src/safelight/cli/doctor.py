"""Says whether an installation and its vendors are well, and on demand tries one for real."""

from collections.abc import Mapping, Sequence
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
_PROMPT = "A red cat"
_FROM_TEXT, _TO_3D = "text_to_image", "image_to_3d"


@dataclass(frozen=True, slots=True)
class Trial:
    """A job that is really done, and paid: `picture` is what a model of pictures works from."""

    model: str | None
    prompt: str
    picture: str | None


def _trial_of(given: Mapping[str, str | None], *, is_live: bool) -> Trial | None:
    """Return the trial that the options ask for; raise `BadUse` for options without it."""
    if is_live:
        return Trial(given["--model"], given["--prompt"] or _PROMPT, given["--picture"])
    if named := [name for name, value in given.items() if value is not None]:
        raise BadUse(f"{named[0]} goes with --live, which runs one real job.")
    return None


async def examine(
    provider: str | None, options: Mapping[str, str | None], manner: Manner, *, is_live: bool
) -> None:
    """Check everything, or one provider; then run one real job there if `is_live`.

    Raises `Failure` where something is not well.
    """
    trial = _trial_of(options, is_live=is_live)
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
