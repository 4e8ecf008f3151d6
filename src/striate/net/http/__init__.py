"""HTTP beside RESP on the same port, over aiohttp's low-level server (the extra ``server``).

``table.py`` lists the operations; it drives both the routes and ``/openapi.json``.
"""
