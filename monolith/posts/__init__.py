"""Posts and the comments below them."""
