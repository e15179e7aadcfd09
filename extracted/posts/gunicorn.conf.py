"""How gunicorn serves the posts service."""

import os

from extracted.chassis.serving import gunicorn_settings

globals().update(gunicorn_settings(os.environ, "posts", default_bind="127.0.0.1:3002"))
