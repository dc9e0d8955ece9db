"""The store: accounts over one bucket. FORMAT.md specifies the bytes, ../shared/STORE.md what may be done with them."""

from .account import Account
from .columns import distinct
from .draft import Appended, Copied, Limits
from .incarnations import AccountRef
from .lifecycle import new_account
from .location import Location
from .mailbox import Changes, Mailbox
from .message import NewMessage
from .nearby import Body
from .orders import Order
from .page import Page
from .rights import ANYONE, RIGHTS, Access, Guard, Who
from .searching import Where
from .settings import StoreSettings
from .sortkeys import ColumnName
from .store import Store

__all__ = [
    "ANYONE",
    "RIGHTS",
    "Access",
    "Account",
    "AccountRef",
    "Appended",
    "Body",
    "Changes",
    "ColumnName",
    "Copied",
    "Guard",
    "Limits",
    "Location",
    "Mailbox",
    "NewMessage",
    "Order",
    "Page",
    "Store",
    "StoreSettings",
    "Where",
    "Who",
    "distinct",
    "new_account",
]
