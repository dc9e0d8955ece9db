"""What a person does in Thunderbird's windows: its own dialogs and commands, as scripts of its remote control."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.harness.target import Account
from tests.harness.thunderbird import Thunderbird

_TOOLS = """
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const until = async (condition, what) => {
  const end = Date.now() + 30000;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error("it did not come: " + what);
    await new Promise(resolve => setTimeout(resolve, 30));
  }
};
const account = () => MailServices.accounts.accounts.find(each => each.incomingServer.type == "imap");
const folder = path => path.split("/").reduce(
  (above, name) => above?.subFolders.find(each => each.name == name), account()?.incomingServer.rootFolder);
const count = path => folder(path)?.getTotalMessages(false);
const pane = () => document.getElementById("tabmail").currentAbout3Pane;
const windowOf = page => [...Services.wm.getEnumerator(null)].find(
  each => each.location.href.endsWith(page) && each.document.readyState == "complete");
const step = name => document.querySelector("account-hub-container").modal.querySelector(name);
const shown = name => until(() => step(name) && !step(name).hidden, name);
const forward = () => step("account-hub-footer #forward");
const fill = (name, text) => {
  const input = step(name);
  input.focus();
  input.value = text;
  input.dispatchEvent(new Event("input", { bubbles: true }));
};
"""


class Desk:
    """One person at one Thunderbird. Each method ends when the window shows that it is done."""

    def __init__(self, thunderbird: Thunderbird, pictures: Path) -> None:
        self._thunderbird = thunderbird
        self._pictures = pictures

    def picture(self, name: str) -> None:
        (self._pictures / f"thunderbird-{name}.png").write_bytes(self._thunderbird.ui.screenshot())

    def find_settings(self, account: Account) -> dict[str, list[str]]:
        """Name and address into the first dialog; what it finds of each server: protocol, host, port, security."""
        found: dict[str, list[str]] = self._run(
            """
            const [address] = args;
            await openAccountHub("MAIL");
            await shown("#emailAutoConfigSubview");
            fill("#realName", "Ann Example");
            fill("#email", address);
            forward().click();
            await shown("#emailConfigFoundSubview");
            const found = step("#emailConfigFoundSubview").captureState();
            const told = server => [server.type, server.hostname, String(server.port), String(server.socketType)];
            return { incoming: told(found.incoming), outgoing: told(found.outgoing) };
            """,
            account.address,
        )
        return found

    def log_in(self, account: Account) -> None:
        """The password; the account is added and its folders are there."""
        self._run(
            """
            const [password] = args;
            forward().click();
            await shown("#emailPasswordSubview");
            fill("#password", password);
            await until(() => !forward().disabled, "a button to go on");
            forward().click();
            await shown("#emailAddedSuccessSubview");
            forward().click();
            await until(() => folder("Trash"), "folders");
            """,
            account.password,
        )

    def folders(self) -> list[str]:
        """The names in the folder pane, as it shows them to the person, the account's own only."""
        mine = "row => row.uri?.startsWith(account().incomingServer.rootFolder.URI + '/')"
        return list(self._run(f"return [...pane().folderTree.rows].filter({mine}).map(row => row.name);"))

    def open(self, path: str, messages: int) -> None:
        self._run(
            """
            const [path, messages] = args;
            await until(() => folder(path), path);
            pane().displayFolder(folder(path).URI);
            await until(() => pane().gFolder?.URI == folder(path).URI && count(path) == messages, "messages");
            await until(() => pane().gDBView?.rowCount == messages, "rows");
            """,
            path,
            messages,
        )

    def read(self, subject: str) -> str:
        """Select a message: its text, once the pane shows it and it is marked as read."""
        return str(
            self._run(
                _SELECT
                + """
            const message = () => document.getElementById("tabmail").currentAboutMessage;
            const page = () => message()?.gMessage == header && message().getMessagePaneBrowser().contentDocument;
            const text = await until(() => page() && page().querySelector(".moz-text-plain"), "the text");
            await until(() => header.isRead, "the mark");
            return text.textContent.trim();
            """,
                subject,
            )
        )

    def search(self, path: str, words: str) -> list[str]:
        """Edit, Find, Search Messages, on the server: subjects of messages whose text has the words."""
        return list(
            self._run(
                """
            const [path, words] = args;
            const session = Cc["@mozilla.org/messenger/searchSession;1"].createInstance(Ci.nsIMsgSearchSession);
            session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, folder(path));
            const term = session.createTerm(), value = term.value;
            value.attrib = term.attrib = Ci.nsMsgSearchAttrib.Body;
            value.str = words;
            [term.value, term.op, term.booleanAnd] = [value, Ci.nsMsgSearchOp.Contains, true];
            session.appendTerm(term);
            const found = [];
            await new Promise(resolve => {
              session.registerListener({
                onNewSearch() {}, onSearchHit(header) { found.push(header.subject); }, onSearchDone: resolve });
              session.search(null);
            });
            return found;
            """,
                path,
                words,
            )
        )

    def move(self, subject: str, to: str) -> None:
        self._run(
            _SELECT
            + """
            const [, to] = args, before = count(to);
            pane().commandController.doCommand("cmd_moveMessage", folder(to));
            await until(() => count(to) == before + 1, "the message where it was moved to");
            """,
            subject,
            to,
        )

    def delete(self, subject: str) -> None:
        self._run(
            _SELECT
            + """
            const before = count("Trash");
            pane().commandController.doCommand("cmd_delete");
            await until(() => count("Trash") == before + 1, "the message in Trash");
            """,
            subject,
        )

    def write(self, to: str, subject: str, text: str) -> None:
        """A window with a new message."""
        self._run(
            """
            const make = name => Cc[`@mozilla.org/messengercompose/${name};1`].createInstance();
            const parameters = make("composeparams").QueryInterface(Ci.nsIMsgComposeParams);
            const fields = make("composefields").QueryInterface(Ci.nsIMsgCompFields);
            [fields.to, fields.subject, fields.body] = args;
            parameters.composeFields = fields;
            parameters.type = Ci.nsIMsgCompType.New;
            parameters.format = Ci.nsIMsgCompFormat.PlainText;
            parameters.identity = account().defaultIdentity;
            MailServices.compose.OpenComposeWindowWithParams(null, parameters);
            const button = () => windowOf("messengercompose.xhtml")?.document.getElementById("button-send");
            await until(() => button() && !button().disabled, "a button to send");
            """,
            to,
            subject,
            text,
        )

    def send(self) -> None:
        """It is sent, and a copy is in Sent."""
        self._run(
            """
            const before = count("Sent");
            windowOf("messengercompose.xhtml").goDoCommand("cmd_sendNow");
            await until(() => !windowOf("messengercompose.xhtml"), "the window's end");
            const seen = () => folder("Sent").updateFolder(null) || count("Sent") == before + 1;
            await until(seen, "the copy in Sent");
            """
        )

    def subscribe(self, path: str) -> list[str]:
        """File, Subscribe: tick a folder; which names the dialog offered. Its modal form would stop the script."""
        return list(
            self._run(
                """
            const [path] = args, page = "chrome://messenger/content/subscribe.xhtml";
            const what = { folder: account().incomingServer.rootFolder, okCallback: SubscribeOKCallback };
            openDialog(page, "subscribe", "chrome,titlebar,resizable", what);
            const dialog = () => windowOf("subscribe.xhtml");
            const rows = () => dialog()?.gSubscribeTree?.view?._allRowMap;
            await until(() => rows()?.length, "names");
            const all = list => list.flatMap(row => [row, ...all(row.children)]);
            const names = all(rows()).map(row => row.childPath);
            all(rows()).find(row => row.childPath == path).addProperty("checked");
            dialog().document.querySelector("dialog").acceptDialog();
            await until(() => folder(path), "the folder");
            return names;
            """,
                path,
            )
        )

    def _run(self, script: str, *arguments: object) -> Any:
        return self._thunderbird.ui.run(_TOOLS + script, *arguments)


_SELECT = """
const view = pane().gDBView, rows = [...Array(view.rowCount).keys()];
pane().threadTree.selectedIndex = rows.findIndex(row => view.getMsgHdrAt(row).subject == args[0]);
const header = await until(() => view.numSelected == 1 && view.hdrForFirstSelectedMessage, "the row");
"""
