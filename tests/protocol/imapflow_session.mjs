// What a mail client written with imapflow does in a day, and what it found, as JSON on the last line.
import { createRequire } from "node:module";

const [, , modules, host, port, user, pass] = process.argv;
const { ImapFlow } = createRequire(`${modules}/`)("imapflow");

const connect = async (options = {}) => {
  const client = new ImapFlow({
    host, port: Number(port), secure: true, auth: { user, pass }, logger: false, qresync: true,
    tls: { rejectUnauthorized: false }, ...options,
  });
  await client.connect();
  return client;
};
const letter = (subject) => Buffer.from(`From: a@example.test\r\nSubject: ${subject}\r\n\r\nHello ${subject}\r\n`);
const found = {};

const client = await connect();
found.enabled = [...client.enabled].sort();
found.special = (await client.list()).filter((box) => box.specialUse).map((box) => box.specialUse).sort();
await client.mailboxCreate(["Projekte", "Größe"]);
found.names = (await client.list()).map((box) => box.path).filter((path) => path.startsWith("Projekte")).sort();
for (const subject of ["one", "two", "three", "four"]) {
  await client.append("Projekte/Größe", letter(subject), ["\\Seen"]);
}
found.status = await client.status("Projekte/Größe", { messages: true, unseen: true, uidNext: true });
found.status.path = undefined;

let box = await client.mailboxOpen("Projekte/Größe");
const known = { uidValidity: box.uidValidity, modseq: box.highestModseq };
found.objectId = typeof box.mailboxId;
found.subjects = [];
for await (const message of client.fetch("1:*", { envelope: true, flags: true, emailId: true })) {
  found.subjects.push([message.envelope.subject, message.emailId?.length > 10, message.modseq > 0n]);
}
found.search = await client.search({ subject: "three" }, { uid: true });
found.download = (await client.fetchOne("2", { source: true })).source.toString().includes("Hello two");

// another session changes what this one looks at
const other = await connect({ qresync: false });
await other.mailboxOpen("Projekte/Größe");
found.told = [];
client.on("expunge", (event) => found.told.push(["expunge", event.uid ?? event.seq, event.vanished ?? false]));
client.on("flags", (event) => found.told.push(["flags", event.uid, [...event.flags].sort()]));
client.on("exists", (event) => found.told.push(["exists", event.count]));
await other.messageFlagsAdd("4", ["\\Flagged"], { uid: true });
await other.messageDelete("2", { uid: true });
await other.append("Projekte/Größe", letter("five"));
await client.noop();
found.moved = [...(await client.messageMove("1", "Archive", { uid: true })).uidMap];
await client.logout();

// and comes back later
await other.messageFlagsAdd("3", ["\\Answered"], { uid: true });
await other.messageDelete("4", { uid: true });
await other.logout();
const again = await connect();
found.back = [];
again.on("expunge", (event) => found.back.push(["expunge", event.uid, event.earlier ?? false]));
again.on("flags", (event) => found.back.push(["flags", event.uid, [...event.flags].sort()]));
await again.mailboxOpen("Projekte/Größe", { changedSince: known.modseq, uidValidity: known.uidValidity });
found.left = await again.search({ all: true }, { uid: true });
await again.mailboxClose();
found.deleted = (await again.mailboxDelete("Projekte/Größe")).path;
await again.logout();

console.log(JSON.stringify(found, (_, value) => (typeof value === "bigint" ? Number(value) : value)));
