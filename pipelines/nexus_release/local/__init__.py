"""The laptop's Argo CD and KServe: makes this machine run what the remote's main says."""
