"""Extractions as data: parts that execute and undo, gates that prove themselves, one engine."""

from strangler_proxy.steps.step import Evidence, Gate, Part, PartFailed, Stage, Step, Trial, Verdict

__all__ = ["Evidence", "Gate", "Part", "PartFailed", "Stage", "Step", "Trial", "Verdict"]
