"""Where a batch of windows is recognised: inline, in worker processes, or on Ray Serve."""
