"""Whether an environment is what main says: who has applied what, which replica serves it, and waiting until all do."""
