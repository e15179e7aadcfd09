"""The blog behind the proxy on this machine, without Docker: what `scripts/up` runs."""
