"""CLIENT TRACKING, CACHING, GETREDIR and TRACKINGINFO."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate.commands.numbers import SYNTAX, integer
from striate.commands.registry import Arguments, command
from striate.commands.tracking import NO_REDIRECT, Tracking, TrackingTable
from striate.protocol.replies import OK, Failure, Reply

if TYPE_CHECKING:
    from striate.commands.session import Session

_SWITCH = (
    "ERR You can't switch {} mode {}before disabling tracking for this client, and then re-enabling it with a "
    "different mode."
)


@command(
    "client tracking", -3, "noscript loading stale", summary="Tells of changes of keys that the client has read.",
    group="connection", since="6.0.0",
)  # fmt: skip
def client_tracking(session: Session, arguments: Arguments) -> Reply:
    """CLIENT TRACKING ON | OFF [REDIRECT id] [PREFIX prefix ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]."""
    wanted = _parse(session, arguments[1:])
    table = session.server.part(TrackingTable)
    switch = arguments[0].upper()
    if switch == b"OFF":
        table.stop(session)
    elif switch == b"ON":
        before: Tracking | None = session.tracking
        _check(wanted, before)
        if before is not None:
            wanted.prefixes = before.prefixes + [each for each in wanted.prefixes if each not in before.prefixes]
        table.start(session, wanted)
    else:
        raise Failure(SYNTAX)
    return OK


def _parse(session: Session, options: Arguments) -> Tracking:
    wanted = Tracking()
    at = 0
    while at < len(options):
        word, more = options[at].upper(), at + 1 < len(options)
        if word == b"REDIRECT" and more:
            if wanted.redirect:
                raise Failure("ERR A client can only redirect to a single other client")
            wanted.redirect = integer(options[at + 1])
            if wanted.redirect not in session.server.sessions:
                raise Failure("ERR The client ID you want redirect to does not exist")
            at += 1
        elif word == b"PREFIX" and more:
            wanted.prefixes.append(options[at + 1])
            at += 1
        elif word == b"BCAST":
            wanted.broadcast = True
        elif word == b"OPTIN":
            wanted.opt_in = True
        elif word == b"OPTOUT":
            wanted.opt_out = True
        elif word == b"NOLOOP":
            wanted.no_loop = True
        else:
            raise Failure(SYNTAX)
        at += 1
    return wanted


def _check(wanted: Tracking, before: Tracking | None) -> None:
    if wanted.prefixes and not wanted.broadcast:
        raise Failure("ERR PREFIX option requires BCAST mode to be enabled")
    if before is not None and before.broadcast != wanted.broadcast:
        raise Failure(_SWITCH.format("BCAST", "on/off "))
    if wanted.broadcast and (wanted.opt_in or wanted.opt_out):
        raise Failure("ERR OPTIN and OPTOUT are not compatible with BCAST")
    if wanted.opt_in and wanted.opt_out:
        raise Failure("ERR You can't specify both OPTIN mode and OPTOUT mode")
    if before is not None and ((wanted.opt_in and before.opt_out) or (wanted.opt_out and before.opt_in)):
        raise Failure(_SWITCH.format("OPTIN/OPTOUT", ""))
    for at, prefix in enumerate(wanted.prefixes):
        for other in [] if before is None else before.prefixes:
            _check_overlap(prefix, other, "an existing prefix")
        for other in wanted.prefixes[at + 1 :]:
            _check_overlap(prefix, other, "another provided prefix")


def _check_overlap(prefix: bytes, other: bytes, what: str) -> None:
    if prefix != other and (prefix.startswith(other) or other.startswith(prefix)):
        shown = f"'{prefix.decode('latin-1')}' overlaps with {what} '{other.decode('latin-1')}'"
        raise Failure(f"ERR Prefix {shown}. Prefixes for a single client must not overlap.")


@command(
    "client caching", 3, "noscript loading stale fast", summary="Says whether the next command's keys are tracked.",
    group="connection", since="6.0.0",
)  # fmt: skip
def client_caching(session: Session, arguments: Arguments) -> Reply:
    """CLIENT CACHING YES | NO."""
    own: Tracking | None = session.tracking
    if own is None:
        raise Failure(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode "
            "enabled"
        )
    switch = arguments[0].upper()
    if switch == b"YES":
        if not own.opt_in:
            raise Failure("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
    elif switch == b"NO":
        if not own.opt_out:
            raise Failure("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
    else:
        raise Failure(SYNTAX)
    own.caching = switch == b"YES"
    return OK


@command(
    "client getredir", 2, "noscript loading stale fast", summary="Names the client that is told in place of this one.",
    group="connection", since="6.0.0",
)  # fmt: skip
def client_getredir(session: Session, arguments: Arguments) -> Reply:
    """CLIENT GETREDIR."""
    own: Tracking | None = session.tracking
    return -1 if own is None else own.redirect


@command(
    "client trackinginfo", 2, "noscript loading stale fast", summary="Tells how this client is told of changes.",
    group="connection", since="6.2.0",
)  # fmt: skip
def client_trackinginfo(session: Session, arguments: Arguments) -> Reply:
    """CLIENT TRACKINGINFO."""
    own: Tracking | None = session.tracking
    if own is None:
        return {b"flags": {b"off"}, b"redirect": -1, b"prefixes": []}
    flags = [b"on"]
    for name, given in ((b"bcast", own.broadcast), (b"optin", own.opt_in), (b"optout", own.opt_out)):
        if given:
            flags.append(name)
    if own.caching is not None:
        flags.append(b"caching-yes" if own.caching else b"caching-no")
    if own.no_loop:
        flags.append(b"noloop")
    if own.redirect != NO_REDIRECT and own.broken:
        flags.append(b"broken_redirect")
    return {b"flags": set(flags), b"redirect": own.redirect, b"prefixes": own.prefixes}
