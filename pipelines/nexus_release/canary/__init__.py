"""A canary by commits: its figures are held against the stable release's, and the next weight is a commit."""
