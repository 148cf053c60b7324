"""The plugin of schemathesis, which these tests alone need."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Load it when this folder is collected: pytest calls this hook for a late conftest, too."""
    config.pluginmanager.import_plugin("schemathesis.pytest.plugin")
