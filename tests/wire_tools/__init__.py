"""Tools for tests of the wire: a raw client, a scripted upstream, the proxy in a thread."""
