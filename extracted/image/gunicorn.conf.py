"""How gunicorn serves the image service."""

import os

from extracted.chassis.serving import served

globals().update(served(os.environ, "image", default_bind="127.0.0.1:3003"))
