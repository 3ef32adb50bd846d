"""Any test that asks for a ``case`` is run on every registered recipe."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("genwerk.testing.contract")

from cases import Case, case  # noqa: E402

from genwerk.recipes import REGISTRY  # noqa: E402


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", sorted(REGISTRY), indirect=True)


@pytest.fixture(name="case")
def _case(request: pytest.FixtureRequest) -> Case:
    return case(request.param)
