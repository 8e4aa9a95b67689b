"""Route for storage usage."""

from fastapi import APIRouter, Response

from safelight import documents
from safelight.web.answers import json_response
from safelight.web.auth import Parts, UsageReader
from safelight.web.contract import returns
from safelight.web.json_route import JsonRoute

router = APIRouter(route_class=JsonRoute, prefix="/v1/usage", tags=["account"])


@router.get("/storage", **returns(documents.StorageUsage))
async def get_storage_usage(caller: UsageReader, services: Parts) -> Response:
    """Return your stored files and bytes by kind; slower with more files."""
    found = await services.storage_usage.of(caller.account_id)
    data: list[documents.UsageLine] = [
        {"what": each.what, "count": each.count, "bytes": each.bytes} for each in found
    ]
    document: documents.StorageUsage = {
        "data": data,
        "bytes": sum(each.bytes for each in found),
    }
    return json_response(document)
