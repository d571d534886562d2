"""Speech emotion recognition, a library of its own: no Discord, no HTTP, no database."""
