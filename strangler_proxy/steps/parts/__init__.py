"""The parts: changes to the world that a step makes, and takes back."""

from .flip import FlipRoutes
from .process import StartProcess
from .seam import SwitchSeam

__all__ = ["FlipRoutes", "StartProcess", "SwitchSeam"]
