"""Builds the public document of an asset. Pure."""

from safelight import documents
from safelight.assets.asset import Asset
from safelight.assets.urls import Links


def asset_document(asset: Asset, links: Links) -> documents.Asset:
    """Return the document of `asset` for the API, streams and webhooks."""
    return {
        "id": asset.id,
        "kind": asset.kind.value,
        "job_id": asset.job_id,
        "name": asset.name,
        "caption": asset.caption or None,
        "external_id": asset.external_id or None,
        "tags": asset.tags,
        "metadata": asset.metadata,
        "media_type": asset.media_type,
        "bytes": asset.bytes,
        "width": asset.width,
        "height": asset.height,
        "visibility": asset.visibility.value,
        "url": links.of(asset.key, asset.account_id) if asset.key else None,
        "download_url": links.download(asset.key, asset.account_id) if asset.key else None,
        "renditions": {
            name: {
                "url": links.of(rendition["key"], asset.account_id),
                "media_type": rendition["media_type"],
                "width": rendition["width"],
                "height": rendition["height"],
                "bytes": rendition["bytes"],
            }
            for name, rendition in asset.renditions.items()
        },
        "placeholder": asset.placeholder,
        "facts": asset.facts,
        "sha256": asset.sha256,
        "source_url": asset.source_url or None,
        "prompt": asset.prompt or None,
        "model": asset.model or None,
        "provider": asset.provider or None,
        "created_at": asset.created_at,
        "expires_at": asset.expires_at,
        "held": bool(asset.hold),
    }
