"""The walk: the blog behind the proxy, live traffic, one step, and an audit of every write."""
