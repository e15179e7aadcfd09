"""Inspection and control of a running proxy over HTTP."""
