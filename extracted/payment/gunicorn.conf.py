"""How gunicorn serves the payment service."""

import os

from extracted.chassis.serving import served

globals().update(served(os.environ, "payment", default_bind="127.0.0.1:3004"))
