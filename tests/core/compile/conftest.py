"""Every test of compiled functions runs on machine code and on the interpreter."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["native", "interpreted"], autouse=True)
def how(request, monkeypatch):
    """Which engine runs the programs."""
    if request.param == "interpreted":
        monkeypatch.setattr("flambeau.codegen.llvm.available", lambda: False)
    return request.param
