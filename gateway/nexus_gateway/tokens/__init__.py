"""JSON Web Tokens: who signed one, until when, and which models it opens."""
