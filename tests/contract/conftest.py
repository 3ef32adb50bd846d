"""Any test that asks for a ``case`` is run on every registered recipe."""

from __future__ import annotations

import pytest
from cases import Case, case

from genwerk.recipes import REGISTRY


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", sorted(REGISTRY), indirect=True)


@pytest.fixture(name="case")
def _case(request: pytest.FixtureRequest) -> Case:
    return case(request.param)
