"""From retrieved evidence to a streamed answer with citations."""
