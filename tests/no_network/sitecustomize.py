"""Python imports this at its start where the folder is on PYTHONPATH: also jobs of a workflow."""

import loopback_only  # noqa: F401
