"""The two doors of a running proxy: the local socket of its file, and its admin address.

A door opens a connection within a time and says, for people, why nobody answered behind it.
"""

import getpass
import http.client
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from strangler_proxy.config.address import parse_origin
from strangler_proxy.running.socket_path import control_sockets


class Door(Protocol):
    """How a proxy is reached, and as whom."""

    name: str
    headers: dict[str, str]

    def open(self, timeout_s: float) -> http.client.HTTPConnection:
        """A connection that is made within this time when it is used; OSError when it is not."""

    def silent(self, fault: Exception) -> str:
        """Why nobody answered, and what to do."""


class SocketDoor:
    """The socket of the proxy that serves a file of this machine; open to its user."""

    def __init__(self, config_path: Path) -> None:
        self.name = str(config_path)
        self.headers: dict[str, str] = {}
        self._config_path = config_path

    def open(self, timeout_s: float) -> http.client.HTTPConnection:
        """See Door."""
        return _UnixConnection(control_sockets(self._config_path), timeout_s)

    def silent(self, fault: Exception) -> str:
        """See Door."""
        if isinstance(fault, TimeoutError):
            return f"the proxy of {self.name} did not answer in time: it is stopped, or overloaded"
        return f"no proxy answers for {self.name}: start one with  strangler serve -c {self.name}"


class AddressDoor:
    """The admin address of a proxy, perhaps another machine's; open to who has its token.

    For https the certificate must be good for the host; a private authority is trusted by
    SSL_CERT_FILE, as OpenSSL reads it. No proxy of the environment is gone through.
    """

    def __init__(self, url: str, token: str) -> None:
        self.name = url
        self.headers = {"Authorization": f"Bearer {token}", "X-Strangler-User": _user()}
        self._origin = parse_origin(url)
        # Once: reading all the authorities of a system takes longer than what is asked.
        self._tls = ssl.create_default_context() if self._origin.tls else None

    def open(self, timeout_s: float) -> http.client.HTTPConnection:
        """See Door."""
        host, port = self._origin.address
        if self._tls is None:
            return http.client.HTTPConnection(host, port, timeout=timeout_s)
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=self._tls)

    def silent(self, fault: Exception) -> str:
        """See Door."""
        if isinstance(fault, ssl.SSLCertVerificationError):
            return (
                f"{self.name} has no certificate that is trusted: {fault.verify_message}; set "
                "SSL_CERT_FILE to the authority's"
            )
        if isinstance(fault, ssl.SSLError):
            return f"{self.name} does not speak TLS: {fault.reason or fault}"
        if isinstance(fault, TimeoutError):
            return f"{self.name} did not answer in time: it is stopped, overloaded or cut off"
        if isinstance(fault, OSError):
            return f"{self.name} cannot be reached: {fault.strerror or fault}"
        return f"what answers at {self.name} is not a proxy's admin address"


class _UnixConnection(http.client.HTTPConnection):
    """To the first of the paths where somebody listens."""

    def __init__(self, paths: Sequence[Path], timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._paths, self._timeout_s = paths, timeout_s

    def connect(self) -> None:
        nobody: OSError = FileNotFoundError("no folder of sockets is there")
        for path in self._paths:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self._timeout_s)
            try:
                self.sock.connect(str(path))
            except (FileNotFoundError, ConnectionRefusedError) as fault:
                self.sock.close()
                nobody = fault
            else:
                return
        raise nobody


def _user() -> str:
    """A claim for the audit file of the other machine."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no variable and no such user: a container's number
        return ""
