"""Where the addresses of an upstream come from: Consul or DNS, asked again for as long as it runs.

Used by the supervisor alone; its workers are told.
"""
