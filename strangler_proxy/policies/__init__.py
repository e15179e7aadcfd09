"""One policy a file. Opens no sockets and reads no clock."""
