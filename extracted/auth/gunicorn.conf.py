"""How gunicorn serves the auth service."""

import os

from extracted.chassis.serving import gunicorn_settings

globals().update(gunicorn_settings(os.environ, "auth", default_bind="127.0.0.1:3001"))
