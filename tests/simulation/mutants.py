"""The mutations: one or more for each of rules 1 to 20 of STORE.md, and for each invariant of the simulation."""

# ruff: noqa: E501
# (what is replaced stands in one piece)

from __future__ import annotations

from .mutating import Mutation

RULES = tuple(map(str, range(1, 21)))
INVARIANTS = (
    "present once",
    "UIDs",
    "modseq",
    "live bytes",
    "replay",
    "sessions",
    "notified",
    "rights",
    "retention",
    "keys",
)

_LOG = "mailpod.store.log:Log."
_COLLECT = "mailpod.store.collection:"
_DUE = "mailpod.retention.due:due"
_TURNS = "tests/mailpod/store/test_turns.py::"
_PROTOCOL = "tests/mailpod/store/test_protocol.py::"

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "a commit is applied whatever came before it", "1",
        (("mailpod.store.state:State.apply", " or commit.prev != self.head_id", ""),),
        test=_PROTOCOL + "test_rule_1_a_wrong_prev_makes_the_account_read_only_and_readable",
    ),
    Mutation(
        "operations of one commit do not see the ones before them", "1, UIDs",
        (("mailpod.store.draft:Draft.append", "self.uidnext.get(box.id, box.uidnext)", "box.uidnext"),),
    ),
    Mutation(
        "a look counts however late its answer is", "2",
        ((_LOG + "_looked", "self._clock.elapsed() - self._looked_at < self._settings.grace / 2", "True"),),
        seeds=(178, 197, 212),
    ),
    Mutation(
        "a look dates from its answer", "2",
        ((_LOG + "_looked", "self._looked_at = sent\n        return", "self._looked_at = self._clock.elapsed(); return"),),
        survives="harmless: a look that is GRACE/2 old at most and a PUT within GRACE/2 of it end within GRACE",
    ),
    Mutation(
        "a commit that was read late is trusted", "2",
        ((_LOG + "_take", "self._clock.elapsed() - self._looked_at >= self._settings.grace / 2", "False"),),
        survives="not shown yet: a late PUT must land on a collected name while its writer stands still",
    ),
    Mutation(
        "reading a commit renews the look", "2",
        ((_LOG + "_take", "    if not ours and", "    self._looked_at = self._clock.elapsed()\n    if not ours and"),),
        survives="not shown yet: takes several slow reads in a row, and a commit kept for its bytes before a collected one",
    ),
    Mutation(
        "the end of a log is believed without asking whether the account was erased meanwhile", "2",
        ((_LOG + "_read_all", "await self._check_in_use()", "pass"),),
        test="tests/mailpod/store/test_protocol.py"
        "::test_rule_2_an_account_that_was_erased_while_it_was_opened_does_not_end_there",
    ),
    Mutation(
        "\"nothing to do\" and \"no\" are answered without a look", "2",
        (("mailpod.store.committer:Committer._commit_batch", "bool(draft.operations) and not refused", "True"),),
        test="tests/mailpod/store/test_protocol.py::test_rule_2_nothing_to_do_and_no_are_answered_after_a_look",
    ),
    Mutation(
        "a PUT that was answered late is acknowledged", "3",
        ((_LOG + "_acknowledge", "answered - self._looked_at >= self._settings.grace / 2", "False"),),
    ),
    Mutation(
        "a late PUT is acknowledged over an account that was erased", "3",
        ((_LOG + "_acknowledge", "await self._check_in_use()", "pass"),),
        test="tests/mailpod/store/test_protocol.py::test_rule_3_a_purged_account_is_not_written_to",
    ),
    Mutation(
        "our commit is taken for another's when its answer was lost", "4, present once",
        ((_LOG + "_who_won", "won = found[0].id == pending.header.id", "won = False"),),
    ),
    Mutation(
        "a timeout is taken for success", "4",
        ((_LOG + "_settle", "pending.ambiguous = True\n            self._pending = pending\n",
          "return await self._acknowledge(pending)\n"),),
    ),
    Mutation(
        "an unresolved sequence is forgotten, and another object sent to it", "4",
        ((_LOG + "_settle", "self._pending = pending if pending.ambiguous else None", "self._pending = None"),),
        test=_PROTOCOL + "test_rule_4_nothing_else_is_sent_to_an_unresolved_sequence",
    ),
    Mutation(
        "a commit refers to a pack whose upload failed", "5",
        (("mailpod.store.uploads:Uploads.write_once", "raise Unavailable from error", "return"),),
    ),
    Mutation(
        "a large batch that lost a race is sent inline again and again", "5",
        (("mailpod.store.committer:Committer._commit_batch", "draft.body_bytes > self._settings.repost_bytes", "False"),),
        test=_PROTOCOL + "test_rule_5_bytes_that_lost_a_race_go_into_a_pack_once",
    ),
    Mutation(
        "a pod does not wait for its turn", "6",
        (("mailpod.store.turns:Turns._seconds", "latency, since = ", "return 0.0\n    latency, since = "),),
        test=_TURNS + "test_the_last_winner_steps_back_for_each_of_the_others",
    ),
    Mutation(
        "who has lost again and again steps back as who has just come", "6",
        (("mailpod.store.turns:Turns._seconds", "(now - came) / enough", "0 / enough"),),
        test=_TURNS + "test_who_has_waited_longer_goes_first",
    ),
    Mutation(
        "what comes while a commit loses waits for the next", "6",
        (("mailpod.store.committer:Committer._commit_batch", "self._fill(batch)", "pass"),),
        test=_TURNS + "test_what_comes_while_a_commit_loses_goes_along_with_it",
    ),
    Mutation(
        "changes since the checkpoint are not in the next one", "7, replay",
        (("mailpod.store.columns:Columns._touch", "base.overlay.update(uid for uid in uids if uid <= through)", "pass"),),
    ),
    Mutation(
        "what a mailbox of the same name was is taken for what it is", "notified",
        (("mailpod.imap.watching:Watch._messages", "seen.name in names", "False"),),
        test="tests/mailpod/imap/test_notify_mailboxes.py::test_another_mailbox_under_the_same_name",
    ),
    Mutation(
        "an expunge elsewhere is not told", "notified",
        (("mailpod.imap.watching:Watch._messages", "(told.uidnext, told.exists) != (box.uidnext, box.exists)", "told.uidnext != box.uidnext"),
         ("mailpod.imap.watching:Watch._messages", "or told.modseq != box.highest_modseq", "")),
    ),
    Mutation(
        "a mailbox that changed is passed over", "notified",
        (("mailpod.store.changes:Changes.since", "box.highest_modseq > head", "box.highest_modseq > head + 1"),),
    ),
    Mutation(
        "names that came are passed over where messages changed too", "notified",
        (("mailpod.store.changes:Changes.since", "not state.shaped <= head <= state.head", "head > state.head"),),
    ),
    Mutation(
        "what was found between other commits is told", "notified",
        (("mailpod.store.changes:Changes.since", "self._between != (head, state.head)", "self._between[1] != state.head"),),
        test="tests/mailpod/store/test_changes.py::test_messages",
    ),
    Mutation(
        "a checkpoint has no annotations", "7, replay",
        (("mailpod.store.planning:_plan_box", "sorted(box.annotations.items())", "[]"),),
    ),
    Mutation(
        "a checkpoint has no delivery ids", "7",
        (("mailpod.store.planned:complete_root", "plan.root.deliveries = [", "plan.root.deliveries = [][:0] and ["),),
    ),
    Mutation(
        "pages are taken from a checkpoint that is not the newest", "8",
        (("mailpod.store.upkeep:Upkeep._plan", "if newest != log.base:", "if False:"),),
        survives="not shown yet: rule 9 makes up for it",
    ),
    Mutation(
        "a checkpoint is published however old its base is", "8",
        (("mailpod.store.upkeep:Upkeep._publish", "self._clock.elapsed() - listed >= self._settings.grace / 2", "False"),),
    ),
    Mutation(
        "a reader does not pass over a checkpoint with missing pages", "9",
        (("mailpod.store.trusted:Checkpoints.load", "except (BadPage, NotFound) as error:", "except BadPage as error:"),),
        test="tests/mailpod/store/test_checkpoint.py::test_a_checkpoint_whose_page_is_missing_or_damaged_is_passed_over",
    ),
    Mutation(
        "a collector trusts a checkpoint with missing pages", "9",
        ((_COLLECT + "_missing", "sorted(name for name in names if name not in listed)", "[]"),),
        test="tests/mailpod/store/test_collection.py::test_rule_9_a_checkpoint_that_is_not_whole_counts_for_nothing",
    ),
    Mutation(
        "a message is moved though it is no longer where it was read", "10",
        (
            ("mailpod.store.columns:Columns.relocate", "at < 0 or self.homes[at] != self.ledger.find(old_key)", "at < 0"),
            ("mailpod.store.draft:Draft.relocate", " and mailbox.homes[at] == homes.find(move[1])", ""),
        ),
        seeds=(121, 154, 224),
    ),
    Mutation(
        "bytes are moved though their checksum does not fit", "10",
        (("mailpod.store.nearby:sound", "len(data) == at.length and checksum(data) == at.checksum", "True"),),
        test="tests/mailpod/store/test_packing.py::test_rule_10_bytes_that_do_not_fit_their_checksum_are_not_moved",
    ),
    Mutation(
        "a commit refers to a pack of its own however old", "10",
        (("mailpod.store.draft:Draft.is_old", "self.elapsed - posted >= self.settings.own_object_age", "False"),
         (_LOG + "_give_up_if_old", "self._clock.elapsed() - pending.posted < self._settings.own_object_age", "True")),
        test="tests/mailpod/store/test_packing.py::test_rule_10_a_pack_that_is_a_day_old_is_not_referred_to",
    ),
    Mutation(
        "a pack is garbage as soon as nothing refers to it", "10",
        ((_COLLECT + "_unreferenced", "now - entry.modified > age", "True"),),
    ),
    Mutation(
        "a COPY takes bytes from where they were", "11",
        (("mailpod.store.draft:Draft._check_source", "at < 0 or box.homes[at] != homes[key]", "at < 0"),),
    ),
    Mutation(
        "a collection does not wait for GRACE", "12",
        ((_COLLECT + "_is_young", "now - entry.modified <= grace", "False"),),
    ),
    Mutation(
        "commits go up to the newest checkpoint", "12",
        ((_COLLECT + "_last_commit", "min(anchor, second)", "max(anchor, second) + 3"),),
    ),
    Mutation(
        "commits go with the bytes of live messages in them", "12, live bytes",
        ((_COLLECT + "_Collection._names", 'names.add(key if number >= FIRST_PACK else f"log/{number:020d}")', "pass"),),
    ),
    Mutation(
        "what the newest commits refer to is not kept", "12",
        ((_COLLECT + "_named_by_commits", 'names - {""}', "set()"),),
        test="tests/mailpod/store/test_collection.py::test_rule_12_what_commits_name_that_no_checkpoint_has_yet_is_kept",
    ),
    Mutation(
        "age is told by the pod's clock", "12",
        (("mailpod.store.buckettime:BucketClock.now",
          "return self._measured[1] + self._clock.elapsed() - self._measured[0]", "return self._clock.now()"),),
    ),
    Mutation(
        "a message that was moved is not looked for again", "13",
        (("mailpod.store.finding:Finder.body", "await self._account.reopen(state)", "pass"),),
    ),
    Mutation(
        "a reader takes the state that another is reading for its own", "13",
        (("mailpod.store.finding:Finder.body", "state = self._account.log.served", "state = self._account.log.state"),
         ("mailpod.store.finding:Finder.body", "if self._account.log.served is", "if self._account.log.state is")),
        test="tests/mailpod/store/test_overtaken.py"
        "::test_rule_13_a_slow_reader_waits_for_another_that_opens_the_account_again",
    ),
    Mutation(
        "an account without anything in it is empty", "14",
        ((_LOG + "open", "if self.state.head == 0:", "if False:"),),
    ),
    Mutation(
        "an account is served that is not the incarnation in use", "14",
        (("mailpod.store.incarnations:InUse.check", "return found[-1].key == self._ours", "return True"),),
    ),
    Mutation(
        "a closed account is written to", "15",
        ((_LOG + "_check_open", "if self.state.closed:", "if False:"),),
    ),
    Mutation(
        "a new incarnation begins with the UIDVALIDITYs of the one before", "15",
        (("mailpod.store.closing:finish_close", "max(closing.floor, state.last_uidvalidity)", "0"),
         ("mailpod.store.lifecycle:create_log", "first = max(now, floor + 1)", "first = max(1_700_000_000, floor + 1)")),
    ),
    Mutation(
        "a purge does not wait for GRACE", "15",
        (("mailpod.store.purge:purge", "or now - found.closed < grace", ""),),
    ),
    Mutation(
        "the record of a purge goes before what it is to erase", "15",
        (("mailpod.store.purge:purge", "    await _erase_objects(objects, prefix)\n",
          "    await objects.delete([found.record_key])\n    await _erase_objects(objects, prefix)\n"),),
    ),
    Mutation(
        "a damaged account is written to", "16",
        ((_LOG + "_break", "self.broken = why", "pass"),),
        test=_PROTOCOL + "test_rule_1_a_wrong_prev_makes_the_account_read_only_and_readable",
    ),
    Mutation(
        "a delivery id is not looked for", "17, present once",
        (("mailpod.store.draft:Draft._delivered", "return bool(delivery)", "return False and bool(delivery)"),),
    ),
    Mutation(
        "delivery ids are forgotten at once", "17",
        (("mailpod.store.state:State._forget_deliveries", "today - DELIVERY_DAYS", "today + 1"),),
    ),
    Mutation(
        "an entry that is settled is taken for one that is not", "18",
        (("mailpod.store.outbound:Standing.garbage", "return self.done or self.message is None", "return False"),),
    ),
    Mutation(
        "what an earlier attempt gave is not read", "18",
        (("mailpod.queue.spool:Spool._attempt", "merged(results)", "{}"),),
    ),
    Mutation(
        "another pod's outward claim is not respected", "19",
        (("mailpod.queue.schedule:Schedule.patience", "began is None or ours", "True"),),
    ),
    Mutation(
        "the queue is listed all the time", "20",
        (("mailpod.queue.spool:Spool._sweep", "sweep_seconds * self._rng.uniform(0.5, 1.5)", "sweep_seconds * 0.01"),),
    ),
    Mutation(
        "UIDNEXT falls with an EXPUNGE", "UIDs",
        (("mailpod.store.columns:Columns.expunge", "self.highest_modseq = seq",
          "self.highest_modseq, self.uidnext = seq, max(self.uids, default=0) + 1"),),
    ),
    Mutation(
        "HIGHESTMODSEQ falls with an EXPUNGE", "modseq",
        (("mailpod.store.columns:Columns.expunge", "self.highest_modseq = seq", "self.highest_modseq = seq - 3"),),
    ),
    Mutation(
        "a session is told the modseq of changes that it was not told of", "sessions",
        (("mailpod.imap.view:View._collect", "flagged[: bisect_right(flagged, last)]", "[]"),),
    ),
    Mutation(
        "a session is shown a state that is only half read", "sessions",
        ((_LOG + "served", "self.state if self._before is None else self._before", "self.state"),),
        survives="not shown since GRACE is 20 s: a poll must fall into an opening",
    ),
    Mutation(
        "a guest's right is not looked at again when the commit is made", "rights",
        (("mailpod.store.committer:Committer._evaluate", "intent.guard(draft.state)", "pass"),),
    ),
    Mutation(
        "who has an address has what its last owner was granted", "rights",
        (("mailpod.store.rights:Access.rights", "if incarnation == self.who.incarnation:", "if True:"),),
    ),
    Mutation(
        "rights that were taken are still there", "rights",
        (("mailpod.store.state:_grant", "box.acl.pop(op.who, None)", "pass"),),
        test="tests/mailpod/store/test_rights.py::test_a_grant_is_to_an_account_and_not_to_its_address",
    ),
    Mutation(
        "a hint of a shared mailbox goes as soon as nothing is granted", "rights",
        (("mailpod.store.shares:Shares.tidy", "now - hint.modified > self._store.settings.grace", "True"),),
        test="tests/mailpod/store/test_rights.py::test_hints_lead_to_owners_and_go_when_nothing_is_shared",
    ),
    Mutation(
        "a message expires by its own date, and not by when it came into the folder", "retention",
        ((_DUE, "came = max(came, page.saved[row])", "came = max(came, page.dates[row])"),),
        seeds=(7,),
    ),
    Mutation(
        "a message expires though one before it in the folder does not", "retention",
        ((_DUE, "came = max(came, page.saved[row])", "came = page.saved[row]"),
         (_DUE, "now - seconds:\n                return found", "now - seconds:\n                continue")),
        seeds=(183,),
    ),
    Mutation(
        "a message that was moved has been in the folder for as long as in the one before", "retention",
        (("mailpod.store.uploads:Uploads.copy_source", "page.record(row, saved=saved)", "page.record(row, saved=page.saved[row])"),
         ("mailpod.store.uploads:Uploads.copy_source", "settings.page_messages], saved=saved", "settings.page_messages]")),
        seeds=(7,),
    ),
    Mutation(
        "what is due is told by the pod's clock", "retention",
        (("mailpod.retention.keeper:Retention._batch", "await self.rounds.now()", "self._services.clock.now()"),),
        seeds=(15,),
    ),
    Mutation(
        "a checkpoint has no access keys", "7, replay",
        (("mailpod.store.planning:_plan_box", "root.url_key = box.url_key", "pass"),),
        seeds=(1003,),
    ),
    Mutation(
        "a key that another pod just made is replaced by one of one's own", "keys",
        (("mailpod.store.urlkeys:keys", "if not box.url_key", ""),),
        test="tests/mailpod/store/test_urlkeys.py::test_two_pods_at_once_have_one",
    ),
    Mutation(
        "a key that was forgotten opens what it did", "keys",
        (("mailpod.store.state:_url_key", "= op.key", "= op.key or state.box(op.box).url_key"),),
        seeds=(1011,),
    ),
    Mutation(
        "one batch of a folder is all that a round deletes", "retention",
        (("mailpod.retention.keeper:Retention._folder", "if not deleted:", "if deleted or True:"),),
        seeds=(55,),
    ),
)  # fmt: skip
