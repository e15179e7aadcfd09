"""A capability's data moved while it is being written: capture, backfill, tail, verify."""
