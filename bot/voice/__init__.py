"""Hearing a Discord voice call: encrypted packets in, each included speaker's samples out."""
