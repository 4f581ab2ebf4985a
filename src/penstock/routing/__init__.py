"""Which upstreams are tried for a call, in which order, and how often. Pure: time and chance are arguments."""
