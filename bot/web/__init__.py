"""The web side: pages, the JSON interface, live events, uploads, sign-in. See docs/http.md."""
