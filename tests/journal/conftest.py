"""The servers of these tests make their result files once for all."""

from __future__ import annotations

from support.media import media_cache, one_media_cache

__all__ = ["media_cache", "one_media_cache"]
