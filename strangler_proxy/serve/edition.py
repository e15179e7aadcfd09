"""What all workers serve by: a configuration, and the TLS files that go with it as they were then.

A certificate and its key are read and proven once, by the supervisor. Workers are given the text:
one that begins while the files are bad serves by those that were good.
"""

import hashlib
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from strangler_proxy.config import Config, ConfigError, Problem
from strangler_proxy.config.server import ServerTls


class Pem(NamedTuple):
    """A certificate and its key, as text that keeps every byte."""

    certificate: str
    key: str

    def load_into(self, context: ssl.SSLContext) -> None:
        """Let clients that connect from now on see this certificate; OSError when it is unfit."""
        with self.as_files() as (certificate, key):
            # With a word, even a wrong one, OpenSSL does not ask the terminal for one and wait.
            context.load_cert_chain(certificate, key, password="none")  # noqa: S106 - no secret

    @contextmanager
    def as_files(self) -> Iterator[tuple[str, str]]:
        """Files in memory, for those who read files alone."""
        with _in_memory(self.certificate) as certificate, _in_memory(self.key) as key:
            yield certificate, key


class Edition(NamedTuple):
    """A configuration, which number it has, and its TLS files."""

    config: Config
    generation: int
    pem: Pem | None

    @classmethod
    def of(cls, config: Config, generation: int) -> "Edition":
        """With the TLS files as they are now; ConfigError when those cannot be used."""
        return cls(config, generation, _read(config.tls) if config.tls is not None else None)

    @property
    def digest(self) -> str:
        """A short name for its content, that of its certificate included."""
        # Only what is set: a fallback of null is another thing than none.
        content = hashlib.sha256(self.config.model_dump_json(exclude_unset=True).encode())
        for text in self.pem or ():
            content.update(text.encode("latin-1"))
        return content.hexdigest()[:16]


def _read(tls: ServerTls) -> Pem:
    try:
        certificate, key = (Path(file).read_bytes() for file in (tls.certificate, tls.key))
        pem = Pem(certificate.decode("latin-1"), key.decode("latin-1"))
        pem.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    except OSError as fault:  # ssl.SSLError is one too
        raise ConfigError([Problem("", None, "tls", f"files cannot be used: {fault}")]) from fault
    return pem


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    handle = os.memfd_create("strangler-pem", os.MFD_CLOEXEC)
    with os.fdopen(handle, "wb") as file:
        file.write(text.encode("latin-1"))
        file.flush()
        yield f"/proc/self/fd/{handle}"
