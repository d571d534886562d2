"""The REST interface under ``/api/v10``, a module per resource.

app.py          all of them together
middleware.py   faults, token, rate limits, errors in Discord's form
access.py       who may see and do what; ids and bodies of requests
answers.py      JSON with the content type that clients insist on
"""
