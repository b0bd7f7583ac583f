"""Who answers for a release: keys, signatures, and what they cover."""
