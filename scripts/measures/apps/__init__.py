"""Small services that are measured; started by gunicorn as processes of their own."""
