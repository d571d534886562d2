"""Where the program begins: `bot.cli.program` is the command line.

Loading even that takes a tenth of a second, in which nobody is there yet who says in words that Ctrl-C was pressed.
What Python does before the first line here is out of our reach.
"""

try:
    from bot.cli.program import main as main
except KeyboardInterrupt:
    raise SystemExit(130) from None

if __name__ == "__main__":
    main(prog_name="undertone")
