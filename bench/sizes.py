"""How much is measured: enough for a figure, or just enough to see that a bench still works."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """One number a question; durations in seconds."""

    jobs: int  # of the server alone
    flight_jobs: int
    flight_s: float  # that each of them takes at the provider
    flight_rounds: int  # of full slots that a Celery worker is watched for
    flight_threads: int  # of its larger pool
    path_jobs: int
    drain_jobs: int
    idle_submits: int
    rate: int  # submits a second
    rate_s: int
    killed_jobs: int
    leases_s: tuple[float, ...]
    celery_wait_s: int  # for jobs of its killed worker
    queued: tuple[int, ...]
    claims: int
    assets: tuple[int, ...]
    searches: int  # of each kind
    grown: int  # jobs that ended, and as many that are queued
    drain_s: float  # that expired rows of each sort are removed
    picture_rounds: int
    pictures: int  # a round, of each contender
    burst: int  # small pictures; a tenth as many of usual size
    models: tuple[int, ...]  # triangles of each
    model_rounds: int
    files_s: float  # that each file is asked for
    renditions: int  # of one photograph
    reads: int  # of one job's status
    streams: int  # open at once


FULL = Sizes(
    jobs=2000,
    flight_jobs=10_000,
    flight_s=20,
    flight_rounds=2,
    flight_threads=1000,
    path_jobs=2000,
    drain_jobs=20_000,
    idle_submits=200,
    rate=300,
    rate_s=10,
    killed_jobs=50,
    leases_s=(30, 5),
    celery_wait_s=70,
    queued=(1_000, 100_000, 1_000_000, 5_000_000),
    claims=50,
    assets=(1_000_000, 10_000_000),
    searches=100,
    grown=5_000_000,
    drain_s=10,
    picture_rounds=10,
    pictures=10,
    burst=300,
    models=(5_000, 60_000, 500_000),
    model_rounds=5,
    files_s=10,
    renditions=100,
    reads=2000,
    streams=450,
)
QUICK = Sizes(
    jobs=1000,
    flight_jobs=5_000,
    flight_s=20,
    flight_rounds=1,
    flight_threads=1000,
    path_jobs=500,
    drain_jobs=5_000,
    idle_submits=200,
    rate=300,
    rate_s=5,
    killed_jobs=50,
    leases_s=(30, 5),
    celery_wait_s=70,
    queued=(1_000, 100_000),
    claims=50,
    assets=(100_000,),
    searches=40,
    grown=1_000_000,
    drain_s=5,
    picture_rounds=4,
    pictures=4,
    burst=300,
    models=(5_000, 60_000),
    model_rounds=3,
    files_s=5,
    renditions=40,
    reads=1000,
    streams=450,
)
SMOKE = Sizes(
    jobs=40,
    flight_jobs=60,
    flight_s=1,
    flight_rounds=1,
    flight_threads=20,
    path_jobs=40,
    drain_jobs=40,
    idle_submits=10,
    rate=50,
    rate_s=1,
    killed_jobs=5,
    leases_s=(2,),
    celery_wait_s=0,
    queued=(1_000,),
    claims=3,
    assets=(2_000,),
    searches=3,
    grown=2_000,
    drain_s=1,
    picture_rounds=1,
    pictures=1,
    burst=20,
    models=(5_000,),
    model_rounds=1,
    files_s=1,
    renditions=4,
    reads=50,
    streams=20,
)
