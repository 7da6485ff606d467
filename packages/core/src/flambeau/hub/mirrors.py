"""Other places of files: `FLAMBEAU_MIRRORS=PREFIX=PLACE,...` says that what begins with PREFIX is also at PLACE, which is tried first.

Content is checked by its SHA-256 wherever it comes from, so a mirror need not be trusted.
"""

from __future__ import annotations

from flambeau.base.config import settings
from flambeau.base.errors import ArgumentError, explain


def places(url: str) -> list[str]:
    """The addresses to try for a file: its mirrors, then its own.

    >>> from flambeau.base.config import override
    >>> with override(mirrors=("https://example.org/=file:///mnt/mirror/",)):
    ...     places("https://example.org/a/net.pth")
    ['file:///mnt/mirror/a/net.pth', 'https://example.org/a/net.pth']
    """
    found = []
    for row in settings().mirrors:
        prefix, equals, place = row.partition("=")
        if not (prefix and equals and place):
            raise ArgumentError(explain("FLAMBEAU_MIRRORS", expected="PREFIX=PLACE, comma-separated", got=repr(row)))
        if url.startswith(prefix):
            found.append(place + url.removeprefix(prefix))
    return [*found, url]
