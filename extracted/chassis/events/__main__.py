"""The command; see `command`."""

from extracted.chassis.events.command import app

app(prog_name="python -m extracted.chassis.events")
