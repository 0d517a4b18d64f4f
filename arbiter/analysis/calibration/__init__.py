"""How right each judge is, held against human gold."""
