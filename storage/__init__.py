"""Sessions, windows, consent, settings and shares in a database."""
