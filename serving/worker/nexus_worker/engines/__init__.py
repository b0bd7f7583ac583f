"""What generates tokens: CTranslate2, or a mock."""
