"""What stands the bot and the loopback Discord up together: the demo, its conversation, the soak and the benches."""
