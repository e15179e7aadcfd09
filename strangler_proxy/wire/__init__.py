"""The HTTP/1.1 data path: client side, upstream pool, headers. The only code that does proxy I/O."""
