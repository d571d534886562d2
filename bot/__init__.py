"""The service: the Discord bot, its listening sessions and its web pages."""
