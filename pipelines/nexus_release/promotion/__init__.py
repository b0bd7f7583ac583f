"""How a release comes from one environment into the next: what it must have passed, what the change does, who must
agree, and what proves all that of a pull request."""
