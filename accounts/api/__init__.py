"""The REST API: each view parses the request, makes one call, answers.

    urls → endpoint (what every view shares) → authentication, parsers, inputs → services or selectors → answers
    and, whatever goes wrong on the way, → problems

Once a service has answered, the change and its event are committed; the rest goes through `events`.
"""
