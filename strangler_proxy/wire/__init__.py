"""The HTTP/1.1 data path: client side, upstream pool, headers. All proxy I/O is here."""
