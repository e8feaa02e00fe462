"""The command line: `contracts run|check|provider|list|coverage|kills`."""

from __future__ import annotations

from contracts.cli.main import main

__all__ = ["main"]
