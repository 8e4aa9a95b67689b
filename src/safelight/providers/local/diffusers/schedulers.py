"""The schedulers that jobs may choose: our name, the diffusers class, and its options."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Scheduler:
    """A diffusers class, and the options set on top of the model's own configuration."""

    kind: str
    options: Mapping[str, bool | int | str] = field(default_factory=dict[str, bool | int | str])


_DPM = {"algorithm_type": "dpmsolver++", "solver_order": 2}

SCHEDULERS: Mapping[str, Scheduler] = {
    "ddim": Scheduler("DDIMScheduler"),
    "dpmpp_2m": Scheduler("DPMSolverMultistepScheduler", _DPM),
    "dpmpp_2m_karras": Scheduler(
        "DPMSolverMultistepScheduler", {**_DPM, "use_karras_sigmas": True}
    ),
    "euler": Scheduler("EulerDiscreteScheduler"),
    "euler_a": Scheduler("EulerAncestralDiscreteScheduler"),
    "lcm": Scheduler("LCMScheduler"),
    "unipc": Scheduler("UniPCMultistepScheduler"),
}
