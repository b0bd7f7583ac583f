"""The commands of `nexus-gateway` with many options, one file per word; each imports its work when it is called."""
