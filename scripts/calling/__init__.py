"""Traffic for a blog on this machine: the walk's clients, for who does the steps by hand."""
