"""What every service has, and nothing that only one of them needs."""
