"""Where a capability leaves the monolith: one port each, local or remote, switched live.

The only part of the monolith that may import `extracted.chassis`.
"""
