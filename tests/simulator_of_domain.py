"""The simulator, where it can reach the domain of `tests.https_front`."""

from channels.simulator.app import application
from tests.https_front import find_domain

find_domain()

__all__ = ["application"]
