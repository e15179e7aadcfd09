"""Commands about a capability's data, by subject; only cutover and rollback need a proxy."""

from strangler_proxy.cli.data import ending, handing, looking, moving
from strangler_proxy.cli.data.shared import data

__all__ = ["data", "ending", "handing", "looking", "moving"]
