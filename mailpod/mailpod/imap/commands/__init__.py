"""Every command: what runs it, in which states (RFC 3501 §6.1 to §6.4), and whether EXPUNGE may precede its reply."""

from __future__ import annotations

from typing import Final

from mailpod.imap.commands import (
    append,
    authenticate,
    capability,
    check,
    close,
    copy,
    create,
    delete,
    enable,
    expunge,
    fetch,
    identify,
    idle,
    listing,
    login,
    logout,
    lsub,
    move,
    namespace,
    noop,
    rename,
    search,
    select,
    starttls,
    status,
    store,
    subscribe,
    unselect,
    unsubscribe,
)
from mailpod.imap.states import ANY, BEFORE_LOGIN, LOGGED_IN, SELECTED, UNSELECTED, Rule

COMMANDS: Final = {
    "CAPABILITY": Rule(capability.run, ANY),
    "NOOP": Rule(noop.run, ANY),
    "LOGOUT": Rule(logout.run, ANY),
    "ID": Rule(identify.run, ANY),
    "STARTTLS": Rule(starttls.run, BEFORE_LOGIN),
    "AUTHENTICATE": Rule(authenticate.run, BEFORE_LOGIN),
    "LOGIN": Rule(login.run, BEFORE_LOGIN),
    "ENABLE": Rule(enable.run, UNSELECTED),  # RFC 5161 §3.1: not with a mailbox selected
    "NAMESPACE": Rule(namespace.run, LOGGED_IN),
    "SELECT": Rule(select.run_select, LOGGED_IN),
    "EXAMINE": Rule(select.run_examine, LOGGED_IN),
    "CREATE": Rule(create.run, LOGGED_IN),
    "DELETE": Rule(delete.run, LOGGED_IN),
    "RENAME": Rule(rename.run, LOGGED_IN),
    "SUBSCRIBE": Rule(subscribe.run, LOGGED_IN),
    "UNSUBSCRIBE": Rule(unsubscribe.run, LOGGED_IN),
    "LIST": Rule(listing.run, LOGGED_IN),
    "LSUB": Rule(lsub.run, LOGGED_IN),
    "STATUS": Rule(status.run, LOGGED_IN),
    "APPEND": Rule(append.run, LOGGED_IN),
    "IDLE": Rule(idle.run, LOGGED_IN),  # RFC 2177 §3
    "CHECK": Rule(check.run, SELECTED),
    "CLOSE": Rule(close.run, SELECTED),
    "UNSELECT": Rule(unselect.run, SELECTED),
    "EXPUNGE": Rule(expunge.run, SELECTED),
    "UID EXPUNGE": Rule(expunge.run, SELECTED),
    # RFC 3501 §7.4.1: no EXPUNGE during these three; their UID forms may have it
    "SEARCH": Rule(search.run, SELECTED, expunge=False),
    "UID SEARCH": Rule(search.run, SELECTED),
    "FETCH": Rule(fetch.run, SELECTED, expunge=False),
    "UID FETCH": Rule(fetch.run, SELECTED),
    "STORE": Rule(store.run, SELECTED, expunge=False),
    "UID STORE": Rule(store.run, SELECTED),
    "COPY": Rule(copy.run, SELECTED),
    "UID COPY": Rule(copy.run, SELECTED),
    "MOVE": Rule(move.run, SELECTED),
    "UID MOVE": Rule(move.run, SELECTED),
}
