"""Machine code in tests: skipped where llvmlite is absent, and never cached in the user's own folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ.get("FLAMBEAU_HOME")
    os.environ["FLAMBEAU_HOME"] = str(tmp_path_factory.mktemp("home"))
    yield
    if before is None:
        del os.environ["FLAMBEAU_HOME"]
    else:
        os.environ["FLAMBEAU_HOME"] = before
