"""Runs a discord.py script against a loopback Discord: python alone.py API_BASE GATEWAY_URL SCRIPT ARGUMENT…"""

from __future__ import annotations

import runpy
import sys

import discord
import yarl


def main(api_base: str, gateway_url: str, script: str, *arguments: str) -> None:
    discord.http.Route.BASE = api_base
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway_url)
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
