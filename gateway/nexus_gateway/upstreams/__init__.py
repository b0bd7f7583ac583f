"""What answers requests: one file per scheme behind one small Protocol."""
