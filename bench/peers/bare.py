"""The least that a submit can be: FastAPI, one checked body, one INSERT; nobody runs the job."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI
from pydantic import BaseModel

from bench.peers.settings import settings

_TABLE = """
CREATE TABLE IF NOT EXISTS bare (
  id uuid PRIMARY KEY, body text NOT NULL, created_at timestamptz NOT NULL DEFAULT now())
"""


class Generate(BaseModel):
    """A request body."""

    prompt: str
    model: str
    params: dict[str, Any] = {}


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(
        settings().database_url, min_size=10, max_size=10, command_timeout=60
    ) as pool:
        await pool.execute(_TABLE)
        app.state.pool = pool
        yield


app = FastAPI(lifespan=_lifespan)


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    """Say that the process serves."""
    return {"status": "ok"}


@app.post("/generate", status_code=202)
async def generate(body: Generate) -> dict[str, str]:
    """Write one row."""
    job = uuid.uuid4()
    await app.state.pool.execute(
        "INSERT INTO bare (id, body) VALUES ($1, $2)", job, body.model_dump_json()
    )
    return {"job_id": str(job), "status": "queued"}
