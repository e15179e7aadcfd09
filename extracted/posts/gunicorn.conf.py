"""How gunicorn serves the posts service."""

import os

from extracted.chassis.serving import served

globals().update(served(os.environ, "posts", default_bind="127.0.0.1:3002"))
