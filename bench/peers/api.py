"""The peer's HTTP API: one row and one message a submit, one row a look."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, FastAPI, Header, HTTPException  # noqa: TID251  a peer is not us
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from bench.peers.settings import settings
from bench.peers.tables import hashed
from bench.peers.worker import app as celery


class Params(BaseModel):
    """Params for the provider."""

    seconds: float = Field(default=0, ge=0, le=3600)
    outputs: int = Field(default=1, ge=0, le=8)


class Generate(BaseModel):
    """A request body."""

    prompt: str = Field(max_length=4000)
    model: str
    params: Params = Params()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(
        settings().database_url, min_size=10, max_size=10, command_timeout=60
    ) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=_lifespan)


async def _account(authorization: Annotated[str, Header()] = "") -> int:
    secret = authorization.removeprefix("Bearer ")
    found = await app.state.pool.fetchval(
        "SELECT account_id FROM keys WHERE hash = $1 AND revoked_at IS NULL", hashed(secret)
    )
    if found is None:
        raise HTTPException(401, "This key is not known.")
    return found


Account = Annotated[int, Depends(_account)]


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    """Say that the database answers."""
    await app.state.pool.fetchval("SELECT 1")
    return {"status": "ok"}


@app.post("/generate", status_code=202)
async def generate(body: Generate, account: Account) -> dict[str, str]:
    """Write the job's row, then send Celery its id."""
    job = uuid.uuid4()
    await app.state.pool.execute(
        "INSERT INTO jobs (id, account_id, prompt, params) VALUES ($1, $2, $3, $4)",
        job,
        account,
        body.prompt,
        body.params.model_dump_json(),
    )
    await run_in_threadpool(celery.send_task, "make", (str(job),))  # Celery's client is synchronous
    return {"job_id": str(job), "status": "queued"}


@app.get("/jobs/{job_id}")
async def job(job_id: uuid.UUID, account: Account) -> dict[str, Any]:
    """Return the job and what it made."""
    row = await app.state.pool.fetchrow(
        "SELECT * FROM jobs WHERE id = $1 AND account_id = $2", job_id, account
    )
    if row is None:
        raise HTTPException(404, "There is no such job.")
    made = await app.state.pool.fetch("SELECT path FROM assets WHERE job_id = $1", job_id)
    return {
        "id": str(row["id"]),
        "status": row["status"],
        "prompt": row["prompt"],
        "params": json.loads(row["params"]),
        "error": row["error"],
        "created_at": row["created_at"],
        "finished_at": row["finished_at"],
        "outputs": [asset["path"] for asset in made],
    }
