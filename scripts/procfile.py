"""The processes that a Procfile names: commands with $VARIABLES, as a shell would read them.

Understood are words, quotes, `NAME=value` before the command, and $NAME or ${NAME}. What needs more
of a shell is refused rather than read otherwise than honcho or foreman would, which have one. A
variable is replaced inside single quotes too: write none there. Starts nothing.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")
_SET = re.compile(r"([A-Za-z_]\w*)=(.*)", re.ASCII | re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))", re.ASCII)
_FOR_A_SHELL = re.compile(r"[();<>|&]+|[#~].*|.*[`*?\\].*", re.DOTALL)


class ProcfileError(ValueError):
    """A Procfile cannot be used; the message names file and line, and says what to write."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What to run, and which variables to set for it besides those of its environment."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Process:
    """One line, its variables not replaced yet. `place` is its file and line."""

    name: str
    place: str
    assignments: tuple[tuple[str, str], ...]
    words: tuple[str, ...]

    def resolve(self, environ: Mapping[str, str]) -> Resolved:
        """Replace its variables by these values. Raises ProcfileError for one that is not set."""
        unset = sorted({name for name in self._variables() if not environ.get(name)})
        if unset:
            needed = ", ".join(f"${name}" for name in unset)
            raise ProcfileError(f"{self.place}: {self.name} needs {needed}, which is not set")

        def filled(text: str) -> str:
            return _VARIABLE.sub(lambda found: environ[found[1] or found[2]], text)

        return Resolved(
            tuple(filled(word) for word in self.words),
            {name: filled(value) for name, value in self.assignments},
        )

    def _variables(self) -> list[str]:
        texts = (*(value for _, value in self.assignments), *self.words)
        return [one or other for text in texts for one, other in _VARIABLE.findall(text)]


def read(path: Path) -> dict[str, Process]:
    """The processes of a file by name, in its order. Raises ProcfileError with all its faults."""
    return parse(path.read_text("utf-8"), str(path))


def parse(text: str, source: str) -> dict[str, Process]:
    """The same from text; `source` is what faults call it."""
    processes: dict[str, Process] = {}
    faults = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        place = f"{source}:{number}"
        try:
            process = _process(line, place)
        except ValueError as fault:
            faults.append(f"{place}: {fault}")
            continue
        if process.name in processes:
            faults.append(f"{place}: {process.name} is there twice; give one another name")
        processes[process.name] = process
    if faults:
        raise ProcfileError("\n".join(faults))
    return processes


def _process(line: str, place: str) -> Process:
    found = _LINE.fullmatch(line.rstrip())
    if found is None:
        raise ValueError("write `name: command`, the name of letters, digits, - and _")
    name, command = found.groups()
    words = _words(command)
    assignments = []
    while words and (assignment := _SET.fullmatch(words[0])):
        assignments.append((assignment[1], assignment[2]))
        words.pop(0)
    if not words:
        raise ValueError(f"{name} has no command")
    return Process(name, place, tuple(assignments), tuple(words))


def _words(command: str) -> list[str]:
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError as fault:
        raise ValueError(f"{str(fault).lower()} in: {command}") from fault
    for word in words:
        if _FOR_A_SHELL.fullmatch(word) or "$" in _VARIABLE.sub("", word):
            raise ValueError(f"{word!r} is for a shell; write words, quotes and $NAME alone")
    return words
