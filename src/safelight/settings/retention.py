"""How long things are kept."""

from pydantic import Field
from pydantic_settings import BaseSettings


class RetentionSettings(BaseSettings):
    """How long things are kept."""

    events_kept_days: float = Field(
        default=30,
        ge=0,
        description="Days after which events are deleted; 0 keeps them.",
    )
    jobs_kept_days: float = Field(
        default=0,
        ge=0,
        description="Days after which finished jobs are deleted; their files stay. 0 keeps them.",
    )
    outputs_kept_days: float = Field(
        default=0,
        ge=0,
        description="Days after which the outputs of a job are deleted, unless the job "
        "says otherwise; 0 keeps them.",
    )
    deleted_kept_days: float = Field(
        default=7,
        ge=0,
        description="Days in which a deleted asset can be restored; 0 deletes at once.",
    )
