"""The posts service: posts and the comments below them, each with its author's name copied in."""
