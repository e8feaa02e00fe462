"""`python -m contracts.cli`."""

from __future__ import annotations

from contracts.cli import main

if __name__ == "__main__":
    main()
