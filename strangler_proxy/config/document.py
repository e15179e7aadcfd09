"""A YAML file that people write, read alike whatever it holds: its text, its values, its mistakes.

What is wrong with it is told with the file, the line and the dotted path.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from strangler_proxy.config.problems import ConfigError, Problem
from strangler_proxy.config.references import Mistake, Where

_MAX_BYTES = 4 * 2**20


def read_text(path: Path) -> str:
    """All of a file, line ends as they are. Raises ConfigError when it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as fault:
        reason = fault.strerror or str(fault)
        raise ConfigError([Problem(str(path), None, "", f"cannot be read: {reason}")]) from fault
    if len(content) > _MAX_BYTES:
        raise ConfigError([Problem(str(path), None, "", f"is over {_MAX_BYTES} bytes")])
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        told = "is not UTF-8: save it in that encoding"
        raise ConfigError([Problem(str(path), line, "", told)]) from fault


def read_keys(text: str, file: str, wanted: str) -> Mapping[str, Any]:
    """The keys and values of a text, which know their lines.

    Raises ConfigError when it is not YAML, or holds no keys; `wanted` says which it must hold.
    """
    try:
        data = YAML(typ="rt").load(text)
    except MarkedYAMLError as fault:
        line = fault.problem_mark.line + 1 if fault.problem_mark else None
        message = f"is not YAML: {fault.problem or fault.context}"
        raise ConfigError([Problem(file, line, "", message)]) from fault
    except RecursionError:
        told = "is nested too deeply"
        raise ConfigError([Problem(file, None, "", told)]) from None
    except (YAMLError, ValueError) as fault:
        raise ConfigError([Problem(file, None, "", f"is not YAML: {fault}")]) from fault
    if not isinstance(data, Mapping):
        raise ConfigError([Problem(file, 1, "", f"must hold {wanted}")])
    return data


def refuse(data: Mapping[str, Any], file: str, mistakes: Iterable[Mistake]) -> None:
    """Raises ConfigError with all of the mistakes, where there are any."""
    problems = [
        Problem(file, _line_of(data, where), _dotted(data, where), message)
        for where, message in mistakes
    ]
    if problems:
        raise ConfigError(problems)


def _line_of(document: Any, where: Where) -> int | None:
    """The 1-based line of the deepest part of `where` that the document has."""
    line = None
    for key in where:
        try:
            place = document.lc.key(key) if hasattr(document, "keys") else document.lc.item(key)
            line, document = place[0] + 1, document[key]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line


def _dotted(data: Any, where: Where) -> str:
    """`routes[2].match`, with the route's name where it has one."""
    text = ""
    for key in where:
        if isinstance(key, int):
            item = data[key] if isinstance(data, Sequence) and key < len(data) else None
            named = item.get("name") if isinstance(item, Mapping) else None
            text += f"[{named or key}]"
        else:
            text += f".{key}" if text else key
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            data = None
    return text
