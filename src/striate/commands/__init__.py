"""What the server does for each command: a session and arguments in, a reply out; a file for each family.

What may not live here: sockets, loops, clocks, randomness (they come as :class:`striate.commands.effects.Effects`).
"""
