"""Writes constraints.txt: the versions that the tests have run with, of all that images install.

Run it with the project's own Python, .venv/bin/python deploy/pin.py, where the tests have passed.
"""

from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path(__file__).parent
KIT = Requirement("strangler-proxy[mongodb,mysql,postgresql]")
HEADER = "# Made by deploy/pin.py. Each image takes from here what its requirements.txt asks for.\n"


def main() -> None:
    """Write the file beside this one."""
    files = sorted(FOLDER.glob("*/requirements.txt"))
    pinned = brought([KIT, *(each for file in files for each in asked(file))])
    del pinned[KIT.name]
    lines = (f"{name}=={version}\n" for name, version in sorted(pinned.items()))
    (FOLDER / "constraints.txt").write_text(HEADER + "".join(lines), "utf-8")


def asked(file: Path) -> list[Requirement]:
    """What a file of requirements names."""
    return [Requirement(line) for line in file.read_text("utf-8").splitlines()]


def brought(requirements: Iterable[Requirement]) -> dict[str, str]:
    """Every distribution that installing these brings, with the version that is installed here."""
    found: dict[str, str] = {}
    waiting, seen = list(requirements), set[str]()
    while waiting:
        requirement = waiting.pop()
        if str(requirement) not in seen:
            seen.add(str(requirement))
            found[canonicalize_name(requirement.name)] = distribution(requirement.name).version
            waiting += _needs(requirement)
    return found


def _needs(requirement: Requirement) -> list[Requirement]:
    """What a distribution needs in turn, by itself and for the extras asked for."""
    extras = ["", *requirement.extras]
    needs = [Requirement(text) for text in distribution(requirement.name).requires or ()]
    return [
        each
        for each in needs
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
    ]


if __name__ == "__main__":
    main()
