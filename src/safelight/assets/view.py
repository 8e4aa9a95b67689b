"""Makes the one public document of an asset."""

from typing import Any

from safelight.assets.asset import Asset


def asset_document(asset: Asset, *, base_url: str) -> dict[str, Any]:
    """Return what the API, streams and webhooks say of `asset`; addresses begin with `base_url`."""
    url = f"{base_url}/files/{asset.key}" if asset.key else None
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
        "url": url,
        "download_url": f"{url}?download=1" if url else None,
        "renditions": {
            name: {
                "url": f"{base_url}/files/{rendition['key']}",
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
    }
