"""Mail to users, sent inside the request."""
