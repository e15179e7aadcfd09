"""What is left of a detached service whose first process has died, and how it is signalled.

The service was made the leader of a session and a process group of its own, and whatever it starts
has its lock file open (launch.py): who is of that group and has that file open is its child.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path


def having_open(file: Path) -> list[int]:
    """The processes, but for this one, that have the file open, as far as they may be looked at."""
    name = str(file.resolve())
    numbers = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]
    return sorted(pid for pid in numbers if pid != os.getpid() and name in _open_files(pid))


def leads_still(leader: int, lock: Path) -> bool:
    """Whether something lives of the process group that a service, alive or dead, has led."""
    for pid in having_open(lock):
        with suppress(OSError):
            if os.getpgid(pid) == leader:
                return True
    return False


def signal_process(pid: int, number: signal.Signals) -> None:
    """Signal one process; nothing when it has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def signal_group(leader: int, number: signal.Signals) -> None:
    """Signal the process group that the leader made with its session; nothing when it is empty."""
    with suppress(ProcessLookupError):
        os.killpg(leader, number)


def _open_files(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.add(os.readlink(file))
    return found
