"""TLS towards an upstream: for the requests of its clients as for the checks of its health."""

import ssl

from strangler_proxy.config import Upstream


def client_context(upstream: Upstream) -> ssl.SSLContext | None:
    """TLS towards an upstream, None for plain HTTP."""
    if not upstream.tls_on:
        return None
    context = ssl.create_default_context(cafile=upstream.tls.ca)
    if not upstream.tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
