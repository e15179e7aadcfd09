"""Local stand-ins for Stripe, an SMTP server and S3, so that the blog runs with nothing installed.

Each is a process of its own (`python -m scripts.embedded.<name> --port N --dir DIR`), answers on
the loopback address only, keeps on disk whatever it has acknowledged, prints one line when it is
ready and ends on SIGTERM.
"""
