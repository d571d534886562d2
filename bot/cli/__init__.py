"""The subcommands of `undertone`, a module each, loaded when called."""
