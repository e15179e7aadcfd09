"""The parts: changes to the world that a step makes, and takes back."""

from strangler_proxy.steps.parts.command import RunCommand, RunWhenUndone
from strangler_proxy.steps.parts.data import ClearLeftovers, HandOver, PlanMove
from strangler_proxy.steps.parts.finishing import FinishFirst
from strangler_proxy.steps.parts.flip import FlipRoutes, LeadDefault
from strangler_proxy.steps.parts.process import StartProcess
from strangler_proxy.steps.parts.retire import RetireMove
from strangler_proxy.steps.parts.seam import SwitchSeam

__all__ = [
    "ClearLeftovers",
    "FinishFirst",
    "FlipRoutes",
    "HandOver",
    "LeadDefault",
    "PlanMove",
    "RetireMove",
    "RunCommand",
    "RunWhenUndone",
    "StartProcess",
    "SwitchSeam",
]
