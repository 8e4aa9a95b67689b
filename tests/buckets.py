"""Starts servers that speak S3: one that checks signatures, and one that knows of KMS."""

import json
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import boto3
import httpx2

from tests.brokers import Broker, program
from tests.servers import free_port, tethered

KEY, SECRET = "AKIAEXAMPLE", "a-secret-of-the-tests"
REGION = "eu-central-1"
BUCKET = "kept"  # only one: each takes volumes of its own
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def seaweed(home: Path) -> Broker:
    """Return a SeaweedFS whose S3 takes requests of `KEY` alone."""
    who = {"accessKey": KEY, "secretKey": SECRET}
    rules = {"identities": [{"name": "tests", "credentials": [who], "actions": ["Admin"]}]}
    config = home / "s3.json"
    config.write_text(json.dumps(rules))
    (home / "data").mkdir()
    port = free_port()
    command = tethered(
        program("weed"),
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={home / 'data'}",
        f"-master.port={free_port()}",
        f"-master.port.grpc={free_port()}",
        f"-volume.port={free_port()}",
        f"-volume.port.grpc={free_port()}",
        "-volume.max=8",
        "-master.volumeSizeLimitMB=64",
        f"-filer.port={free_port()}",
        f"-filer.port.grpc={free_port()}",
        "-s3",
        f"-s3.port={port}",
        f"-s3.port.grpc={free_port()}",
        "-s3.port.iceberg=0",  # or a port that every copy would take
        "-s3.port.lance=0",
        "-master.telemetry=false",
        f"-s3.config={config}",
    )
    return Broker(
        "seaweed",
        port,
        f"http://127.0.0.1:{port}",
        command,
        home / "weed.log",
        lambda: _takes_buckets(port),
        last_signal=signal.SIGKILL,  # it takes half a minute to end by itself
    )


def new_place(server: Broker) -> str:
    """Return a folder of the server's one bucket, as an operator writes it."""
    here = {"LocationConstraint": REGION}
    with suppress(client(server).exceptions.BucketAlreadyOwnedByYou):
        client(server).create_bucket(Bucket=BUCKET, CreateBucketConfiguration=here)
    endpoint = quote(f"http://127.0.0.1:{server.port}", safe="")
    return f"s3://{BUCKET}/{uuid4().hex}?region={REGION}&endpoint={endpoint}"


def client(server: Broker, service: str = "s3") -> Any:
    """Return AWS's own client of a server."""
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=f"http://127.0.0.1:{server.port}",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )


def _takes_buckets(port: int) -> bool:
    """Say whether it answers at all; without a signature it refuses, which will do."""
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/", timeout=1).status_code == 403
    except httpx2.TransportError:
        return False
