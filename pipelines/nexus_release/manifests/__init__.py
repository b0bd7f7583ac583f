"""Pure functions from (environment, releases) to `{path: text}`."""
