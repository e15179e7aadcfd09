"""The processes of a running proxy: one supervisor, and workers that share its address."""
