"""Where a proxy is asked to hold and to flip, as it stands in a move of moves.yaml. Opens nothing.

proxies:
  - strangler.yaml                       # a proxy of this machine, by its file
  - admin: https://10.0.0.5:8001         # another machine's, by its admin address
    token_env: STRANGLER_ADMIN_TOKEN     # the variable that holds its token
"""

from pathlib import Path
from typing import Any

from pydantic import ValidationInfo, field_validator, model_validator

from strangler_proxy.config.address import parse_origin
from strangler_proxy.config.fields import Frozen, Variable

FOLDER = "folder"
"""The key of the validation's context: a relative path starts here."""


class ProxyPlace(Frozen):
    """One proxy: the configuration file that it serves on this machine, or its admin address."""

    config: Path | None = None
    admin: str | None = None
    token_env: Variable = "STRANGLER_ADMIN_TOKEN"  # noqa: S105 - the variable's name

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"config": value} if isinstance(value, str) else value

    @field_validator("config")
    @classmethod
    def _beside(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        folder = (info.context or {}).get(FOLDER)
        return path if path is None or folder is None else folder / path

    @field_validator("admin")
    @classmethod
    def _is_an_origin(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parse_origin(url)
        except ValueError:
            raise ValueError(f"'{url}' is not an admin address: write http://host:port") from None
        return url.rstrip("/")

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> "ProxyPlace":
        if (self.config is None) == (self.admin is None):
            raise ValueError(
                "is the path of a strangler.yaml, or {admin: http://host:port, token_env: VARIABLE}"
            )
        return self

    def __str__(self) -> str:
        return self.admin or str(self.config)
