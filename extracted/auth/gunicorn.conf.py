"""How gunicorn serves the auth service."""

import os

from extracted.chassis.serving import served

globals().update(served(os.environ, "auth", default_bind="127.0.0.1:3001"))
