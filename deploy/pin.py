"""Writes constraints.txt: the versions that the tests have run with, of all that images install.

Run it with the project's own Python, .venv/bin/python deploy/pin.py, where the tests have passed.
"""

from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path(__file__).parent
KIT = Requirement("strangler-proxy[mongodb,mysql,postgresql]")
HEADER = "# Made by deploy/pin.py. Each image takes from here what its requirements.txt asks for.\n"


def main() -> None:
    """Write the file beside this one."""
    pinned: dict[str, str] = {}
    asked: set[str] = set()
    waiting = [KIT, *wanted()]
    while waiting:
        requirement = waiting.pop()
        if str(requirement) not in asked:
            asked.add(str(requirement))
            pinned[canonicalize_name(requirement.name)] = distribution(requirement.name).version
            waiting += needs(requirement)
    del pinned[KIT.name]
    lines = (f"{name}=={version}\n" for name, version in sorted(pinned.items()))
    (FOLDER / "constraints.txt").write_text(HEADER + "".join(lines), "utf-8")


def wanted() -> list[Requirement]:
    """What the images ask for by name."""
    files = sorted(FOLDER.glob("*/requirements.txt"))
    return [Requirement(line) for file in files for line in file.read_text("utf-8").splitlines()]


def needs(requirement: Requirement) -> list[Requirement]:
    """What an installed distribution needs in turn, by itself and for the extras asked for."""
    extras = ["", *requirement.extras]
    found = [Requirement(text) for text in distribution(requirement.name).requires or ()]
    return [
        each
        for each in found
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
    ]


if __name__ == "__main__":
    main()
